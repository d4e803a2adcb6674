// SPDX-License-Identifier: MIT
//! What a driver in Rust implements, and how its table is made.
//!
//! A panic does not cross the ABI: every entry point catches it, logs it and aborts the worker,
//! which the host then replaces. Going on with half-changed state would be worse.

use crate::errno::Errno;
use crate::services::Host;
use crate::tables::{
    DeviceV1, DriverV1, MmapArgs, MmapOut, NodeInfo, NodeKind, ObjectRef, OpenArgs, Request,
};
use core::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A driver: one value for all its devices.
pub trait Driver {
    /// What a bound device becomes.
    type Instance: Instance;

    /// Takes a device.
    fn probe(host: Host, device: &'static DeviceV1) -> Result<Self::Instance, Errno>;
}

/// A device with its driver.
pub trait Instance: Sync + Send + 'static {
    /// An open file of any of its nodes.
    type File: NodeFile;

    /// The nodes, in the order of their indexes: kind and driver name.
    fn nodes(&self) -> Vec<(NodeKind, String)>;

    /// Opens a node.
    fn open(&self, opened: &Opened) -> Result<Self::File, Errno>;
}

/// Who opened what.
pub type Opened = OpenArgs;

/// An open file. Its methods are called from several threads at once. Dropping it closes it.
pub trait NodeFile: Sync + Send + 'static {
    /// One ioctl; the answer goes into the call's payload.
    fn ioctl(&self, call: &mut Call<'_>) -> Result<u64, Errno>;

    /// Resolves a mapping.
    fn mmap(&self, args: &MmapArgs) -> Result<Mapped, Errno>;
}

/// Where a mapping lies.
pub type Mapped = MmapOut;

/// One ioctl as a driver in Rust sees it.
#[derive(Debug)]
pub struct Call<'a> {
    /// The full ioctl number.
    pub cmd: u32,
    /// The call puts state back after a crash.
    pub replay: bool,
    /// The id that what is made must get, if any.
    pub want_id: Option<u32>,
    /// The argument in wire form; the answer overwrites it.
    pub payload: &'a mut [u8],
    /// Objects given with the call.
    pub objects_in: &'a [ObjectRef],
    /// Objects given back.
    pub objects_out: Vec<ObjectRef>,
}

/// Runs `f`; a panic is logged by the panic hook and ends the worker.
pub fn guard<T>(f: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => value,
        Err(_) => std::process::abort(),
    }
}

fn status(result: Result<(), Errno>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(errno) => -errno.0,
    }
}

/// The entry point `probe` for a driver.
///
/// # Safety
/// As the host calls it: the tables stay until the process ends, `out` is valid.
pub unsafe extern "C" fn probe<D: Driver>(
    host: *const crate::tables::HostV1,
    device: *const DeviceV1,
    out: *mut *mut c_void,
) -> i32 {
    // SAFETY: the caller's promise: both tables stay until the process ends.
    let (host, device) = unsafe { (&*host, &*device) };
    guard(|| {
        status(D::probe(Host::new(host), device).map(|instance| {
            // SAFETY: the caller's promise.
            unsafe { *out = Box::into_raw(Box::new(instance)).cast() };
        }))
    })
}

/// The entry point `remove`.
///
/// # Safety
/// `instance` came from [`probe`] of the same driver and is not used again.
pub unsafe extern "C" fn remove<D: Driver>(instance: *mut c_void) {
    // SAFETY: the caller's promise.
    guard(|| drop(unsafe { Box::from_raw(instance.cast::<D::Instance>()) }));
}

/// The entry point `nodes`.
///
/// # Safety
/// `instance` came from [`probe`]; `out` has room for `cap` entries.
pub unsafe extern "C" fn nodes<D: Driver>(
    instance: *mut c_void,
    out: *mut NodeInfo,
    cap: u32,
) -> i32 {
    // SAFETY: the caller's promise.
    let instance = unsafe { &*instance.cast::<D::Instance>() };
    guard(|| {
        let list = instance.nodes();
        for (index, (kind, name)) in list.iter().take(cap as usize).enumerate() {
            let mut info = NodeInfo {
                kind: *kind as u32,
                reserved: 0,
                name: [0; 64],
            };
            for (to, from) in info.name.iter_mut().take(63).zip(name.bytes()) {
                *to = from;
            }
            // SAFETY: index < cap.
            unsafe { out.add(index).write(info) };
        }
        i32::try_from(list.len()).unwrap_or(i32::MAX)
    })
}

/// The entry point `open`.
///
/// # Safety
/// `instance` came from [`probe`]; the pointers are valid.
pub unsafe extern "C" fn open<D: Driver>(
    instance: *mut c_void,
    args: *const OpenArgs,
    file: *mut *mut c_void,
) -> i32 {
    // SAFETY: the caller's promise.
    let (instance, args) = unsafe { (&*instance.cast::<D::Instance>(), &*args) };
    guard(|| {
        status(instance.open(args).map(|opened| {
            // SAFETY: the caller's promise.
            unsafe { *file = Box::into_raw(Box::new(opened)).cast() };
        }))
    })
}

type FileOf<D> = <<D as Driver>::Instance as Instance>::File;

/// The entry point `release`.
///
/// # Safety
/// `file` came from [`open`] and is not used again.
pub unsafe extern "C" fn release<D: Driver>(file: *mut c_void) {
    // SAFETY: the caller's promise.
    guard(|| drop(unsafe { Box::from_raw(file.cast::<FileOf<D>>()) }));
}

/// The entry point `ioctl`.
///
/// # Safety
/// `file` came from [`open`]; the request and what it points to are valid and not shared.
pub unsafe extern "C" fn ioctl<D: Driver>(file: *mut c_void, request: *mut Request) -> i64 {
    // SAFETY: the caller's promise.
    let (file, request) = unsafe { (&*file.cast::<FileOf<D>>(), &mut *request) };
    // SAFETY: the caller's promise; empty where the pointer is null.
    let (payload, objects_in) = unsafe {
        (
            slice_mut(request.payload, request.payload_len),
            slice(request.objects_in, request.objects_in_len),
        )
    };
    let mut call = Call {
        cmd: request.cmd,
        replay: request.flags & crate::tables::REQUEST_REPLAY != 0,
        want_id: (request.want_id != 0).then_some(request.want_id),
        payload,
        objects_in,
        objects_out: Vec::new(),
    };
    let result = guard(|| file.ioctl(&mut call));
    let count = call.objects_out.len().min(request.objects_out_cap);
    for (index, object) in call.objects_out.iter().take(count).enumerate() {
        // SAFETY: index < objects_out_cap.
        unsafe { request.objects_out.add(index).write(*object) };
    }
    request.objects_out_len = count;
    Errno::encode(result)
}

/// The entry point `mmap`.
///
/// # Safety
/// `file` came from [`open`]; the pointers are valid.
pub unsafe extern "C" fn mmap<D: Driver>(
    file: *mut c_void,
    args: *const MmapArgs,
    out: *mut MmapOut,
) -> i32 {
    // SAFETY: the caller's promise.
    let (file, args) = unsafe { (&*file.cast::<FileOf<D>>(), &*args) };
    guard(|| {
        status(file.mmap(args).map(|mapped| {
            // SAFETY: the caller's promise.
            unsafe { *out = mapped };
        }))
    })
}

/// Empty where `ptr` is null.
///
/// # Safety
/// `ptr` is null or valid for `len` elements while the result lives.
unsafe fn slice<'a, T>(ptr: *const T, len: usize) -> &'a [T] {
    if ptr.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(ptr, len) }
}

/// Empty where `ptr` is null.
///
/// # Safety
/// `ptr` is null or valid and unshared for `len` elements while the result lives.
unsafe fn slice_mut<'a, T>(ptr: *mut T, len: usize) -> &'a mut [T] {
    if ptr.is_null() {
        return &mut [];
    }
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts_mut(ptr, len) }
}

/// Makes the table of a driver from its type.
pub const fn table<D: Driver>(about: &About) -> DriverV1 {
    DriverV1 {
        size: size_of::<DriverV1>() as u32,
        abi_version: crate::ABI_VERSION,
        name: about.name.as_ptr(),
        description: about.description.as_ptr(),
        ids: about.ids.as_ptr(),
        ids_len: about.ids.len(),
        firmware: core::ptr::null(),
        firmware_len: 0,
        params: about.params.as_ptr(),
        params_len: about.params.len(),
        probe: Some(probe::<D>),
        remove: Some(remove::<D>),
        nodes: Some(nodes::<D>),
        open: Some(open::<D>),
        release: Some(release::<D>),
        ioctl: Some(ioctl::<D>),
        mmap: Some(mmap::<D>),
    }
}

/// What a driver says of itself.
#[derive(Debug)]
pub struct About {
    /// Name.
    pub name: &'static core::ffi::CStr,
    /// One line.
    pub description: &'static core::ffi::CStr,
    /// Id table.
    pub ids: &'static [crate::tables::PciId],
    /// Parameters.
    pub params: &'static [crate::tables::Param],
}

/// Exports a [`Driver`] as the root module of this shared object.
///
/// ```ignore
/// drvhost_abi::export_driver!(MyDriver, About { name: c"mine", .. });
/// ```
#[macro_export]
macro_rules! export_driver {
    ($driver:ty, $about:expr) => {
        static DRVHOST_TABLE: $crate::tables::DriverV1 = $crate::plugin::table::<$driver>(&$about);

        // What `abi_stable::export_root_module` makes, but reached through this crate, so that
        // plugins need not depend on abi_stable themselves.
        const _: () = {
            use $crate::abi_stable::library::{
                __call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult,
            };

            fn root_module() -> $crate::PluginRootRef {
                $crate::root::module(&DRVHOST_TABLE)
            }

            extern "C" fn erased() -> RootModuleResult {
                __call_root_module_loader(root_module)
            }

            // SAFETY: no other symbol has this name, abi_stable's for a root module's header.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static HEADER: LibHeader =
                // SAFETY: the constructor makes the module that is named as the type.
                unsafe {
                    LibHeader::from_constructor::<$crate::PluginRootRef>(
                        erased,
                        CheckTypeLayout::Yes,
                    )
                };
        };
    };
}
