// SPDX-License-Identifier: MIT
//! The tables that host and plugin exchange, in C layout.
//!
//! Every table begins with its size and the ABI version. A reader uses only what lies inside the
//! size it is given, so fields may be added at the end without a new version; anything else needs
//! one. Functions return zero or a positive value, or a negative error number (Linux's values).
//! Pointers given to a function are valid for the call only, unless said otherwise.
//! The C spelling is `include/drvhost_driver.h`; a test compares the two.

use core::ffi::{c_char, c_void};

/// The version of this ABI. A plugin of another version is refused before it is loaded.
pub const ABI_VERSION: u32 = 1;

/// Matches any value of a [`PciId`] field.
pub const ANY_ID: u32 = u32::MAX;

/// One row of a driver's PCI id table, as `struct pci_device_id` has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciId {
    /// Vendor id, or [`ANY_ID`].
    pub vendor: u32,
    /// Device id, or [`ANY_ID`].
    pub device: u32,
    /// Subsystem vendor id, or [`ANY_ID`].
    pub subvendor: u32,
    /// Subsystem device id, or [`ANY_ID`].
    pub subdevice: u32,
    /// Class code: base class, subclass and interface, 24 bits.
    pub class: u32,
    /// Which bits of `class` count.
    pub class_mask: u32,
}

/// A parameter that a driver understands.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Name, NUL-terminated UTF-8.
    pub name: *const c_char,
    /// What it does, NUL-terminated UTF-8.
    pub description: *const c_char,
    /// Default value as text, NUL-terminated UTF-8.
    pub default: *const c_char,
}

/// What a driver offers: the table at the root of every plugin.
#[repr(C)]
#[derive(Debug)]
pub struct DriverV1 {
    /// Size of this table in bytes.
    pub size: u32,
    /// [`ABI_VERSION`].
    pub abi_version: u32,
    /// The driver's name, NUL-terminated.
    pub name: *const c_char,
    /// One line about the driver, NUL-terminated.
    pub description: *const c_char,
    /// Id table.
    pub ids: *const PciId,
    /// Rows in `ids`.
    pub ids_len: usize,
    /// Names of firmware files the driver may ask for.
    pub firmware: *const *const c_char,
    /// Entries in `firmware`.
    pub firmware_len: usize,
    /// Parameters.
    pub params: *const Param,
    /// Entries in `params`.
    pub params_len: usize,
    /// Takes the device; on success stores the instance. `host` and `device` stay valid until
    /// the process ends.
    pub probe: Option<
        unsafe extern "C" fn(
            host: *const HostV1,
            device: *const DeviceV1,
            instance: *mut *mut c_void,
        ) -> i32,
    >,
    /// Gives the device up. All files were released before.
    pub remove: Option<unsafe extern "C" fn(instance: *mut c_void)>,
    /// Stores up to `cap` nodes and returns how many there are.
    pub nodes:
        Option<unsafe extern "C" fn(instance: *mut c_void, out: *mut NodeInfo, cap: u32) -> i32>,
    /// Opens a node; stores the file.
    pub open: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            args: *const OpenArgs,
            file: *mut *mut c_void,
        ) -> i32,
    >,
    /// Closes a file. No call on it is under way, and none follows.
    pub release: Option<unsafe extern "C" fn(file: *mut c_void)>,
    /// One ioctl. Called from several threads at once, also for one file.
    pub ioctl: Option<unsafe extern "C" fn(file: *mut c_void, request: *mut Request) -> i64>,
    /// Resolves a mapping of the node at a fake offset.
    pub mmap: Option<
        unsafe extern "C" fn(file: *mut c_void, args: *const MmapArgs, out: *mut MmapOut) -> i32,
    >,
}

// SAFETY: the table holds constants of the plugin: names, arrays and functions that never change.
unsafe impl Sync for DriverV1 {}
// SAFETY: as above; the table refers to nothing that belongs to a thread.
unsafe impl Send for DriverV1 {}

/// What kind of node a driver offers.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// `/dev/dri/card<N>`.
    Card = 1,
    /// `/dev/dri/renderD<N>`.
    Render = 2,
    /// `/dev/input/event<N>`.
    Event = 3,
}

/// One node of an instance; its index is its place in the list.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NodeInfo {
    /// A [`NodeKind`], as a number: a plugin may know kinds that the host does not.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// Name of the driver as programs see it (`DRM_IOCTL_VERSION`), NUL-padded.
    pub name: [u8; 64],
}

/// Arguments of `open`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenArgs {
    /// Index of the node.
    pub node: u32,
    /// [`OPEN_PRIVILEGED`] and others.
    pub flags: u32,
    /// The host's name for the file; events are posted under it.
    pub cookie: u64,
    /// Process id of the opener.
    pub pid: u32,
    /// User id of the opener.
    pub uid: u32,
}

/// The opener has what Linux calls CAP_SYS_ADMIN on the host.
pub const OPEN_PRIVILEGED: u32 = 1;
/// The host itself opens the file, to put state back: it may do what a master may.
pub const OPEN_HOST: u32 = 2;

/// The call puts back what a client made before a crash.
pub const REQUEST_REPLAY: u32 = 1;

/// What an [`ObjectRef`] names. Objects are the host's; they outlive a worker.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// Shared memory: a dumb buffer, a dma-buf.
    Buffer = 1,
    /// A fence: signalled once; a sync_file outside.
    Fence = 2,
    /// An eventfd that a client gave.
    Event = 3,
    /// An open file of the same instance, made by a call (a lease). The id is its cookie.
    File = 4,
}

/// An object that goes with a call, in the place of a descriptor.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ObjectRef {
    /// An [`ObjectKind`], as a number.
    pub kind: u32,
    /// Where the descriptor stands: for an ioctl with one descriptor field zero; for an atomic
    /// commit the index of the property value.
    pub place: u32,
    /// The host's id of the object.
    pub id: u64,
}

/// One ioctl.
#[repr(C)]
#[derive(Debug)]
pub struct Request {
    /// Size of this struct in bytes.
    pub size: u32,
    /// The full ioctl number (direction, size, type, number).
    pub cmd: u32,
    /// [`REQUEST_REPLAY`].
    pub flags: u32,
    /// The id that what is made must get, or zero.
    pub want_id: u32,
    /// The wire form of the argument; the answer overwrites it.
    pub payload: *mut u8,
    /// Bytes in `payload`.
    pub payload_len: usize,
    /// Objects given with the call. Each fence and event comes with one use, which the driver
    /// ends (`fence_put`), also for a call that it refuses.
    pub objects_in: *const ObjectRef,
    /// Entries in `objects_in`.
    pub objects_in_len: usize,
    /// Objects given back. A fence that the call made may be put before the call returns.
    pub objects_out: *mut ObjectRef,
    /// Room in `objects_out`.
    pub objects_out_cap: usize,
    /// Entries written to `objects_out`.
    pub objects_out_len: usize,
}

/// Arguments of `mmap`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MmapArgs {
    /// Fake offset that the driver gave out, in bytes.
    pub offset: u64,
    /// Length in bytes, a multiple of the page size.
    pub length: u64,
    /// Zero for read, one for read and write.
    pub write: u32,
    /// Zero.
    pub reserved: u32,
}

/// Where a mapping lies.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MmapOut {
    /// The host's id of the buffer.
    pub buffer: u64,
    /// Offset in the buffer, in bytes.
    pub offset: u64,
}

/// A buffer of the host's, mapped in the worker until it is put back.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BufferMap {
    /// The host's id.
    pub id: u64,
    /// Where it is mapped, readable and writable, page-aligned.
    pub ptr: *mut u8,
    /// Size in bytes, a multiple of the page size.
    pub size: u64,
}

/// What the host does for a driver. `ctx` is the first argument of each function.
#[repr(C)]
#[derive(Debug)]
pub struct HostV1 {
    /// Size of this table in bytes.
    pub size: u32,
    /// [`ABI_VERSION`].
    pub abi_version: u32,
    /// First argument of every function here.
    pub ctx: *mut c_void,
    /// Logs a line. Levels are those of the `log` crate: 1 error to 5 trace.
    pub log: unsafe extern "C" fn(
        ctx: *mut c_void,
        level: u32,
        target: *const u8,
        target_len: usize,
        text: *const u8,
        text_len: usize,
    ),
    /// Monotonic time in nanoseconds. Tests may step it.
    pub now: unsafe extern "C" fn(ctx: *mut c_void) -> u64,
    /// Sleeps while `*word == expected`, until [`HostV1::wake`] or the deadline (nanoseconds of
    /// `now`, `u64::MAX` for none). Returns 0, or -ETIMEDOUT. May return early. A thread that
    /// sleeps here is not hung; one that sleeps elsewhere is.
    pub wait: unsafe extern "C" fn(
        ctx: *mut c_void,
        word: *const u32,
        expected: u32,
        deadline: u64,
    ) -> i32,
    /// Wakes up to `count` threads that sleep on `word`.
    pub wake: unsafe extern "C" fn(ctx: *mut c_void, word: *const u32, count: u32),
    /// Starts a thread that the host watches; `name` is NUL-terminated.
    pub spawn: unsafe extern "C" fn(
        ctx: *mut c_void,
        name: *const c_char,
        run: unsafe extern "C" fn(arg: *mut c_void),
        arg: *mut c_void,
    ) -> i32,
    /// The value of a parameter, or null. Valid until the process ends.
    pub param: unsafe extern "C" fn(ctx: *mut c_void, name: *const c_char) -> *const c_char,
    /// Reads a firmware file. Returns 0 or -ENOENT. Valid until the process ends.
    pub firmware: unsafe extern "C" fn(
        ctx: *mut c_void,
        name: *const c_char,
        data: *mut *const u8,
        len: *mut usize,
    ) -> i32,
    /// Sends an event to the reader of a file. Whole records only. -ENOENT: no such file.
    pub post_event:
        unsafe extern "C" fn(ctx: *mut c_void, cookie: u64, data: *const u8, len: usize) -> i32,
    /// Says that something about the device changed that programs should look at (a monitor was
    /// plugged in): a `HOTPLUG=1` uevent.
    pub hotplug: unsafe extern "C" fn(ctx: *mut c_void),
    /// Makes and maps a buffer of `size` bytes (rounded up to pages), zeroed. In a replayed call
    /// this is the buffer that the call made before.
    pub buffer_create:
        unsafe extern "C" fn(ctx: *mut c_void, size: u64, out: *mut BufferMap) -> i32,
    /// Maps a buffer by id.
    pub buffer_open: unsafe extern "C" fn(ctx: *mut c_void, id: u64, out: *mut BufferMap) -> i32,
    /// Ends one create or open of a buffer: its mapping goes.
    pub buffer_put: unsafe extern "C" fn(ctx: *mut c_void, id: u64) -> i32,
    /// Makes a fence.
    pub fence_create: unsafe extern "C" fn(ctx: *mut c_void, id: *mut u64) -> i32,
    /// Signals a fence or an event.
    pub fence_signal: unsafe extern "C" fn(ctx: *mut c_void, id: u64) -> i32,
    /// Waits for a fence until a deadline. Returns 0 or -ETIMEDOUT; a deadline of zero asks only.
    pub fence_wait: unsafe extern "C" fn(ctx: *mut c_void, id: u64, deadline: u64) -> i32,
    /// Ends one use of a fence or an event: of its creation, or of a call that brought it.
    pub fence_put: unsafe extern "C" fn(ctx: *mut c_void, id: u64) -> i32,
    /// Announces a file that a call made (a lease) and stores its cookie.
    pub file_create: unsafe extern "C" fn(
        ctx: *mut c_void,
        node: u32,
        file: *mut c_void,
        cookie: *mut u64,
    ) -> i32,
    /// The first sequence number that a vblank counter may show: counters never run back.
    pub vblank_base: unsafe extern "C" fn(ctx: *mut c_void) -> u64,
}

// SAFETY: the functions of the table may be called from any thread; `ctx` belongs to the host,
// which keeps it until the process ends.
unsafe impl Sync for HostV1 {}
// SAFETY: as above.
unsafe impl Send for HostV1 {}

/// A base address register.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BarInfo {
    /// Size in bytes; zero where there is none.
    pub size: u64,
    /// [`BAR_MEMORY`], [`BAR_PORT`], [`BAR_PREFETCHABLE`], [`BAR_MAPPABLE`].
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

/// A memory BAR.
pub const BAR_MEMORY: u32 = 1;
/// A port I/O BAR.
pub const BAR_PORT: u32 = 2;
/// Prefetchable memory.
pub const BAR_PREFETCHABLE: u32 = 4;
/// `bar_map` works; otherwise only `bar_read` and `bar_write`.
pub const BAR_MAPPABLE: u32 = 8;

/// Kinds of interrupt, for `irq_enable`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IrqKind {
    /// The pin.
    Intx = 0,
    /// MSI.
    Msi = 1,
    /// MSI-X.
    Msix = 2,
}

/// Memory that the device can reach.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DmaMap {
    /// Address for the device.
    pub iova: u64,
    /// Address for the driver.
    pub ptr: *mut u8,
    /// Size in bytes.
    pub size: u64,
    /// The buffer's id with the host, for `buffer_open` and `mmap`; zero where it has none.
    pub buffer: u64,
}

/// A driver's device. `ctx` is the first argument of each function.
#[repr(C)]
#[derive(Debug)]
pub struct DeviceV1 {
    /// Size of this table in bytes.
    pub size: u32,
    /// [`ABI_VERSION`].
    pub abi_version: u32,
    /// First argument of every function here.
    pub ctx: *mut c_void,
    /// PCI address as text (`0000:00:02.0`), NUL-padded.
    pub address: [u8; 16],
    /// The device's ids; no field is [`ANY_ID`], `class_mask` is zero.
    pub id: PciId,
    /// Revision id.
    pub revision: u32,
    /// Zero.
    pub reserved: u32,
    /// Reads config space.
    pub config_read:
        unsafe extern "C" fn(ctx: *mut c_void, offset: u32, data: *mut u8, len: usize) -> i32,
    /// Writes config space.
    pub config_write:
        unsafe extern "C" fn(ctx: *mut c_void, offset: u32, data: *const u8, len: usize) -> i32,
    /// Describes BAR 0 to 5.
    pub bar_info: unsafe extern "C" fn(ctx: *mut c_void, bar: u32, out: *mut BarInfo) -> i32,
    /// Maps a whole BAR. Valid until the process ends.
    pub bar_map: unsafe extern "C" fn(ctx: *mut c_void, bar: u32, out: *mut *mut u8) -> i32,
    /// Reads `len` bytes through the device; 1, 2, 4 and 8 are one access of that width.
    pub bar_read: unsafe extern "C" fn(
        ctx: *mut c_void,
        bar: u32,
        offset: u64,
        data: *mut u8,
        len: usize,
    ) -> i32,
    /// Writes `len` bytes through the device; 1, 2, 4 and 8 are one access of that width.
    pub bar_write: unsafe extern "C" fn(
        ctx: *mut c_void,
        bar: u32,
        offset: u64,
        data: *const u8,
        len: usize,
    ) -> i32,
    /// How many vectors of a kind there are.
    pub irq_count: unsafe extern "C" fn(ctx: *mut c_void, kind: u32) -> i32,
    /// Enables `count` vectors; `handler` runs in a thread of its own for each.
    pub irq_enable: unsafe extern "C" fn(
        ctx: *mut c_void,
        kind: u32,
        count: u32,
        handler: unsafe extern "C" fn(arg: *mut c_void, vector: u32),
        arg: *mut c_void,
    ) -> i32,
    /// Disables all vectors; no handler runs afterwards.
    pub irq_disable: unsafe extern "C" fn(ctx: *mut c_void) -> i32,
    /// Memory for the device; `align` is a power of two.
    pub dma_alloc:
        unsafe extern "C" fn(ctx: *mut c_void, size: u64, align: u64, out: *mut DmaMap) -> i32,
    /// Frees what `dma_alloc` gave.
    pub dma_free: unsafe extern "C" fn(ctx: *mut c_void, iova: u64) -> i32,
    /// Resets the function.
    pub reset: unsafe extern "C" fn(ctx: *mut c_void) -> i32,
}

// SAFETY: the functions of the table may be called from any thread; `ctx` belongs to the host,
// which keeps it until the process ends.
unsafe impl Sync for DeviceV1 {}
// SAFETY: as above.
unsafe impl Send for DeviceV1 {}
