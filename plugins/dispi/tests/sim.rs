// SPDX-License-Identifier: MIT
//! The driver against the simulator's model of the adapter, in one process.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint takes for other code

use core::ffi::c_void;
use dispi_redox::gpu::Dispi;
use driver_sys::Mapping;
use drvhost_abi::tables::*;
use drvhost_abi::{ABI_VERSION, Call, Driver, Errno, Instance, NodeFile};
use drvhost_drm::plugin::{DrmFile, DrmInstance, DrmPlugin};
use drvhost_drm::testing::{FakeHost, no_device};
use drvhost_drm::uapi::*;
use drvhost_drm::wire::describe;
use drvhost_sim::dispi::{Display, Fault};
use drvhost_sim::function::{PciFunction, REGION_CONFIG, Refused};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

/// The adapter behind the table that a plugin gets.
struct Model {
    display: Mutex<Display>,
    mappable: bool,
    has_registers: bool,
}

fn model<'a>(ctx: *mut c_void) -> &'a Model {
    // SAFETY: `ctx` is the leaked model that `Bench::new` put into the table.
    unsafe { &*ctx.cast() }
}

fn status(result: Result<(), Refused>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(Refused::Errno(errno)) => -errno,
        Err(Refused::NoAnswer) => -Errno::ETIMEDOUT.0,
    }
}

unsafe extern "C" fn config_read(ctx: *mut c_void, at: u32, data: *mut u8, len: usize) -> i32 {
    // SAFETY: the caller gives a valid buffer.
    let data = unsafe { core::slice::from_raw_parts_mut(data, len) };
    let mut display = model(ctx).display.lock().unwrap();
    assert!(at as u64 + len as u64 <= display.region(REGION_CONFIG).size);
    status(display.config_read(at as usize, data))
}

unsafe extern "C" fn bar_info(ctx: *mut c_void, bar: u32, out: *mut BarInfo) -> i32 {
    let model = model(ctx);
    let region = model.display.lock().unwrap().region(bar);
    let absent = region.size == 0 || (bar == 2 && !model.has_registers);
    let mapped = region.mmap.is_some() && model.mappable;
    let info = BarInfo {
        size: if absent { 0 } else { region.size },
        flags: match (absent, mapped) {
            (true, _) => 0,
            (false, true) => BAR_MEMORY | BAR_MAPPABLE,
            (false, false) => BAR_MEMORY,
        },
        reserved: 0,
    };
    // SAFETY: the caller gives a valid pointer.
    unsafe { out.write(info) };
    0
}

unsafe extern "C" fn bar_map(ctx: *mut c_void, bar: u32, out: *mut *mut u8) -> i32 {
    let region = model(ctx).display.lock().unwrap().region(bar);
    let mmap = region.mmap.unwrap();
    let mapping = Mapping::new(mmap.file.as_fd(), mmap.offset, region.size as usize).unwrap();
    // SAFETY: the caller gives a valid pointer; the mapping stays, as it is leaked.
    unsafe { out.write(Box::leak(Box::new(mapping)).as_ptr()) };
    0
}

unsafe extern "C" fn bar_read(
    ctx: *mut c_void,
    bar: u32,
    at: u64,
    data: *mut u8,
    len: usize,
) -> i32 {
    // SAFETY: the caller gives a valid buffer.
    let data = unsafe { core::slice::from_raw_parts_mut(data, len) };
    status(
        model(ctx)
            .display
            .lock()
            .unwrap()
            .region_read(bar, at, data),
    )
}

unsafe extern "C" fn bar_write(
    ctx: *mut c_void,
    bar: u32,
    at: u64,
    data: *const u8,
    len: usize,
) -> i32 {
    // SAFETY: the caller gives a valid buffer.
    let data = unsafe { core::slice::from_raw_parts(data, len) };
    status(
        model(ctx)
            .display
            .lock()
            .unwrap()
            .region_write(bar, at, data),
    )
}

struct Bench {
    host: &'static FakeHost,
    model: &'static Model,
    instance: Option<Arc<DrmInstance>>,
    probed: Result<(), Errno>,
}

impl Bench {
    fn new(
        mappable: bool,
        has_registers: bool,
        params: &[(&str, &str)],
        fault: Option<Fault>,
    ) -> Bench {
        let mut display = Display::new(16 << 20, None).unwrap();
        if let Some(fault) = fault {
            display.break_down(fault);
        }
        let model: &'static Model = Box::leak(Box::new(Model {
            display: Mutex::new(display),
            mappable,
            has_registers,
        }));
        let mut table = clone(no_device());
        table.ctx = core::ptr::from_ref(model).cast_mut().cast();
        table.config_read = config_read;
        table.bar_info = bar_info;
        table.bar_map = bar_map;
        table.bar_read = bar_read;
        table.bar_write = bar_write;
        table.id.class = 0x03_8000;
        let (fake, host) = FakeHost::new();
        for (name, value) in params {
            let value = format!("{value}\0");
            fake.seen().params.insert((*name).to_owned(), value);
        }
        let probed = DrmPlugin::<Dispi>::probe(host, Box::leak(Box::new(table)));
        let (instance, probed) = match probed {
            Ok(instance) => (Some(Arc::new(instance)), Ok(())),
            Err(errno) => (None, Err(errno)),
        };
        Bench {
            host: fake,
            model,
            instance,
            probed,
        }
    }

    fn open(&self) -> DrmFile {
        let args = OpenArgs {
            node: 0,
            flags: 0,
            cookie: 1,
            pid: 1,
            uid: 0,
        };
        self.instance.as_ref().unwrap().open(&args).unwrap()
    }

    /// The monitor's pixel as red, green, blue.
    fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let picture = self.model.display.lock().unwrap().picture();
        let at = (y * picture.width + x) as usize * 3;
        picture.rgb[at..at + 3].try_into().unwrap()
    }
}

fn clone(table: &DeviceV1) -> DeviceV1 {
    // SAFETY: the table is plain data: numbers and functions.
    unsafe { core::ptr::read(table) }
}

fn call<T: Pod>(file: &DrmFile, cmd: u32, arg: T, array: &[u8]) -> Result<T, Errno> {
    let descriptor = describe(cmd).unwrap();
    let mut argument = vec![0; descriptor.size()];
    arg.write_to(&mut argument);
    let mut payload = Vec::new();
    for (start, len) in descriptor.segments {
        payload.extend_from_slice(&argument[*start..start + len]);
    }
    payload.extend_from_slice(array);
    let mut call = Call {
        cmd,
        replay: false,
        want_id: None,
        payload: &mut payload,
        objects_in: &[],
        objects_out: Vec::new(),
    };
    file.ioctl(&mut call)?;
    let mut at = 0;
    for (start, len) in descriptor.segments {
        argument[*start..start + len].copy_from_slice(&payload[at..at + len]);
        at += len;
    }
    Ok(T::read_from(&argument))
}

const CRTC: u32 = 38;
const CONNECTOR: u32 = 40;

fn vga_mode() -> drm_mode_modeinfo {
    drm_mode_modeinfo {
        clock: 25175,
        hdisplay: 640,
        hsync_start: 656,
        hsync_end: 752,
        htotal: 800,
        vdisplay: 480,
        vsync_start: 490,
        vsync_end: 492,
        vtotal: 525,
        ..Default::default()
    }
}

/// A framebuffer of one colour: its id and memory.
fn framebuffer(bench: &Bench, file: &DrmFile, pixel: u32) -> (u32, *mut u32) {
    let dumb = drm_mode_create_dumb {
        width: 640,
        height: 480,
        bpp: 32,
        ..Default::default()
    };
    let dumb = call(file, ioctl::MODE_CREATE_DUMB, dumb, &[]).unwrap();
    let map = drm_mode_map_dumb {
        handle: dumb.handle,
        ..Default::default()
    };
    let offset = call(file, ioctl::MODE_MAP_DUMB, map, &[]).unwrap().offset;
    let args = MmapArgs {
        offset,
        length: dumb.size,
        write: 1,
        reserved: 0,
    };
    let buffer = file.mmap(&args).unwrap().buffer;
    let memory = bench.host.seen().buffers[&buffer].0 as *mut u32;
    for i in 0..640 * 480 {
        // SAFETY: the buffer holds 640 × 480 pixels.
        unsafe { memory.add(i).write(pixel) };
    }
    let fb = drm_mode_fb_cmd2 {
        width: 640,
        height: 480,
        pixel_format: DrmFourcc::Xrgb8888 as u32,
        handles: [dumb.handle, 0, 0, 0],
        pitches: [dumb.pitch, 0, 0, 0],
        ..Default::default()
    };
    (
        call(file, ioctl::MODE_ADDFB2, fb, &[]).unwrap().fb_id,
        memory,
    )
}

fn show(file: &DrmFile, fb_id: u32) -> Result<(), Errno> {
    let arg = drm_mode_crtc {
        crtc_id: CRTC,
        fb_id,
        count_connectors: 1,
        mode_valid: 1,
        mode: vga_mode(),
        ..Default::default()
    };
    call(file, ioctl::MODE_SETCRTC, arg, &CONNECTOR.to_le_bytes()).map(|_| ())
}

/// Mode set, flips and dirty rectangles, whichever way video memory is written.
fn shows_pictures(mappable: bool, flip: &str) {
    let bench = Bench::new(
        mappable,
        true,
        &[("connected", "1"), ("pageflip", flip)],
        None,
    );
    assert_eq!(bench.probed, Ok(()));
    let file = bench.open();
    let (red, _) = framebuffer(&bench, &file, 0x00ff_0000);
    let (blue, memory) = framebuffer(&bench, &file, 0x0000_00ff);
    show(&file, red).unwrap();
    assert_eq!(bench.pixel(639, 479), [255, 0, 0]);
    let mode = bench.model.display.lock().unwrap().mode().unwrap();
    assert_eq!((mode.width, mode.height, mode.y), (640, 480, 0));

    let arg = drm_mode_crtc_page_flip {
        crtc_id: CRTC,
        fb_id: blue,
        flags: DRM_MODE_PAGE_FLIP_EVENT,
        ..Default::default()
    };
    call(&file, ioctl::MODE_PAGE_FLIP, arg, &[]).unwrap();
    bench
        .host
        .step_until(20_000_000, |seen| seen.events.len() == 1);
    assert_eq!(bench.pixel(0, 0), [0, 0, 255]);
    let mode = bench.model.display.lock().unwrap().mode().unwrap();
    assert_eq!(mode.y, if flip == "1" { 480 } else { 0 });

    // SAFETY: the buffer holds 640 × 480 pixels.
    unsafe {
        memory.add(0).write(0x00ff_ffff);
        memory.add(641).write(0x00ff_ffff);
    }
    let clip = [1u16, 1, 3, 2].map(u16::to_le_bytes).concat();
    let dirty = drm_mode_fb_dirty_cmd {
        fb_id: blue,
        num_clips: 1,
        ..Default::default()
    };
    call(&file, ioctl::MODE_DIRTYFB, dirty, &clip).unwrap();
    assert_eq!(bench.pixel(1, 1), [255, 255, 255]);
    if flip == "0" {
        assert_eq!(bench.pixel(0, 0), [0, 0, 255], "outside of the clip");
    }
    assert_eq!(
        bench.pixel(300, 300),
        [0, 0, 255],
        "the other page is whole, too"
    );
    drop(file);
    assert_eq!(bench.pixel(300, 300), [0, 0, 0]);
}

#[test]
fn mapped_memory_with_two_pages() {
    shows_pictures(true, "1");
}

#[test]
fn mapped_memory_with_one_page() {
    shows_pictures(true, "0");
}

#[test]
fn memory_behind_the_device() {
    shows_pictures(false, "1");
}

#[test]
fn what_is_no_adapter_is_refused_with_a_reason() {
    for (what, has_registers, fault, errno, reason) in [
        ("no BAR2", false, None, Errno::ENODEV, "0x1ce"),
        ("stuck", true, Some(Fault::Stuck), Errno::ENODEV, "0xffff"),
        ("noise", true, Some(Fault::Noise), Errno::ENODEV, "0xb0c0"),
        (
            "hung",
            true,
            Some(Fault::Hang),
            Errno::ETIMEDOUT,
            "read a BAR",
        ),
    ] {
        let bench = Bench::new(true, has_registers, &[], fault);
        assert_eq!(bench.probed, Err(errno), "{what}");
        let log = bench.host.seen().log.join("\n");
        assert!(log.contains(reason), "{what}: {log}");
    }
}

#[test]
fn a_device_that_breaks_is_an_error_and_no_hang() {
    for fault in [Fault::Stuck, Fault::Noise, Fault::Hang] {
        let bench = Bench::new(true, true, &[("connected", "1")], None);
        let file = bench.open();
        let (fb, _) = framebuffer(&bench, &file, 1);
        bench.model.display.lock().unwrap().break_down(fault);
        assert!(show(&file, fb).is_err(), "{fault:?}");
    }
}

#[test]
fn the_table_is_of_this_abi() {
    assert_eq!(no_device().abi_version, ABI_VERSION);
}
