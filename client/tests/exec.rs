// SPDX-License-Identifier: MIT
//! Whole programs in the private view that `drvhost exec` makes, against a front of the test's.
//! Where the kernel makes no namespaces for us, these tests say so and pass.

#![allow(clippy::unwrap_used)]

mod cc;
mod fake;

use fake::FakeFront;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join(name)
}

fn exec(front: &FakeFront) -> Command {
    let mut command = Command::new(built("examples/exec"));
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/devices.json"))
        .env("DRVHOST_PRELOAD", built("deps/libdrvhost_client.so"))
        .env("DRVHOST_RUN", front.run_dir());
    command
}

fn front() -> FakeFront {
    let front = FakeFront::start(&["card0"]);
    let output = exec(&front).arg("true").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    front
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(front: &FakeFront, program: &str, args: &[&str]) -> String {
    let output = exec(front).arg(program).args(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program}: {errors}{}",
        text(&output)
    );
    text(&output)
}

#[test]
fn libdrm_finds_the_device() {
    let front = front();
    let output = run(&front, "drmdevice", &[]);
    for line in [
        "--- Devices reported 1 ---",
        "|   +-> nodes[0] /dev/dri/card0",
        "        +-> vendor_id     1234",
        "        +-> device_id     1111",
        "        +-> subvendor_id  1af4",
        "        +-> subdevice_id  1100",
        "        +-> revision_id   02",
    ] {
        assert!(
            output.lines().any(|found| found == line),
            "{line}: {output}"
        );
    }
}

#[test]
fn drm_info_describes_it() {
    let front = front();
    let output = exec(&front).arg("drm_info").output().unwrap();
    let output = text(&output);
    assert!(output.contains("Node: /dev/dri/card0"), "{output}");
    assert!(
        output.contains("Driver: fake (tests) version 4.0.0"),
        "{output}"
    );
    assert!(output.contains("Device: PCI 1234:1111"), "{output}");
}

#[test]
fn modetest_opens_it() {
    let front = front();
    let output = run(&front, "modetest", &["-M", "fake"]);
    for part in [
        "Encoders:",
        "Connectors:",
        "CRTCs:",
        "Planes:",
        "Frame buffers:",
    ] {
        assert!(output.contains(part), "{part} {output}");
    }
}

#[test]
fn udev_knows_it() {
    let front = front();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/udev.c");
    // Needs libudev's headers.
    let path = cc::compile("udev", &source, &["-ludev"]);
    let output = run(&front, path.to_str().unwrap(), &[]);
    let expected = "\
        card0 /dev/dri/card0 226:0 initialized seat parent 0000:00:02.0 driver bochs-drm vendor 0x1234\n\
        card0-Virtual-1 - 0:0 initialized - parent 0000:00:02.0 driver bochs-drm vendor 0x1234\n";
    assert_eq!(output, expected);
}

#[test]
fn a_program_that_bypasses_libc() {
    let front = front();
    let program = built("examples/drm_rs");
    let expected = "driver fake\nnode 226:0\npitch 256\nmapped 8192 bytes\n";
    let output = run(&front, program.to_str().unwrap(), &["/dev/dri/card0"]);
    assert_eq!(output, expected);
    let output = run(
        &front,
        program.to_str().unwrap(),
        &["/dev/dri/by-path/pci-0000:00:02.0-card"],
    );
    assert_eq!(output, expected);
}

#[test]
fn files_are_linux_s() {
    let front = front();
    let script = "cd /sys/dev/char/226:0/device && cat vendor revision class modalias uevent \
        drm/card0/uevent drm/card0/card0-Virtual-1/status && readlink driver subsystem \
        drm/card0/device drm/card0/subsystem /sys/class/drm/card0 && readlink -f . && \
        wc -c < config && stat -c '%t:%T %F' /dev/dri/card0";
    let expected = "0x1234\n0x02\n0x038000\n\
        pci:v00001234d00001111sv00001AF4sd00001100bc03sc80i00\n\
        DRIVER=bochs-drm\nPCI_CLASS=38000\nPCI_ID=1234:1111\nPCI_SUBSYS_ID=1AF4:1100\n\
        PCI_SLOT_NAME=0000:00:02.0\n\
        MODALIAS=pci:v00001234d00001111sv00001AF4sd00001100bc03sc80i00\n\
        MAJOR=226\nMINOR=0\nDEVNAME=dri/card0\nDEVTYPE=drm_minor\nconnected\n\
        ../../../bus/pci/drivers/bochs-drm\n../../../bus/pci\n../../../0000:00:02.0\n\
        ../../../../../class/drm\n../../devices/pci0000:00/0000:00:02.0/drm/card0\n\
        /sys/devices/pci0000:00/0000:00:02.0\n64\ne2:0 character special file\n";
    assert_eq!(run(&front, "sh", &["-c", script]), expected);
}

#[test]
fn the_rest_of_the_system_is_as_it_was() {
    let front = front();
    // The names in the directories that were rebuilt, but for what was added.
    let list = "for dir in /dev /dev/pts /dev/shm /sys/bus /sys/class /sys/class/tty \
        /sys/devices /sys/bus/pci/drivers /run; do echo $dir; ls -1 $dir; done | \
        grep -vx -e dri -e drm -e udev -e bochs-drm";
    let outside = Command::new("sh").args(["-c", list]).output().unwrap();
    assert_eq!(run(&front, "sh", &["-c", list]), text(&outside));
    let shows = |path: &str| Path::new(path).exists();
    let before = (shows("/dev/dri/card0"), shows("/run/udev/data/c226:0"));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let writes = "echo x > /dev/null && ! touch /sys/class/drm/x 2> /dev/null";
    run(&front, "sh", &["-c", writes]);
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
    assert_eq!(
        (shows("/dev/dri/card0"), shows("/run/udev/data/c226:0")),
        before
    );
}

#[test]
fn exec_in_place() {
    let front = front();
    let child = exec(&front)
        .args(["sh", "-c", "echo $$; pwd; exit 7"])
        .current_dir("/usr")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(text(&output), format!("{pid}\n/usr\n"));
    let killed = exec(&front)
        .args(["sh", "-c", "kill -9 $$"])
        .status()
        .unwrap();
    assert_eq!(killed.signal(), Some(9));
}

#[test]
fn what_can_t_be_run_is_said() {
    let front = front();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/empty.c");
    let path = cc::compile("static", &source, &["-static"]);
    for (program, code, reason) in [
        (path.to_str().unwrap(), 126, "statically linked"),
        ("no-such-program", 127, "no such program"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/", 126, "directory"),
    ] {
        let output = exec(&front).arg(program).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{program}: {errors}");
        assert!(errors.contains(reason), "{program}: {errors}");
    }
}

#[test]
fn users_can_do_it_too() {
    let front = front();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let open: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    for path in ["", "front.sock", "node", "node/card0"] {
        fs::set_permissions(front.run_dir().join(path), open.clone()).unwrap();
    }
    // The user may not be able to reach the build's directory.
    let place = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(place.path(), open).unwrap();
    for (from, to) in [
        ("examples/exec", "exec"),
        ("examples/drm_rs", "drm_rs"),
        ("deps/libdrvhost_client.so", "libdrvhost_client.so"),
    ] {
        fs::copy(built(from), place.path().join(to)).unwrap();
    }
    let devices = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/devices.json");
    fs::copy(devices, place.path().join("devices.json")).unwrap();
    let user = |program: &str, arg: &str| {
        Command::new(place.path().join("exec"))
            .arg(place.path().join("devices.json"))
            .args([program, arg])
            .env("DRVHOST_RUN", front.run_dir())
            .current_dir(place.path())
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap()
    };
    let output = user("./drm_rs", "/dev/dri/card0");
    let errors = String::from_utf8_lossy(&output.stderr);
    let expected = "driver fake\nnode 226:0\npitch 256\nmapped 8192 bytes\n";
    assert_eq!(text(&output), expected, "{errors}");
    let output = text(&user("stat", "/dev/dri/card0"));
    assert!(output.contains("character special file"), "{output}");
    let output = text(&user("id", "-u"));
    assert_eq!(output, "65534\n");
    let output = text(&user("drmdevice", ""));
    assert!(output.contains("+-> revision_id   02"), "{output}");
}
