// SPDX-License-Identifier: MIT
//! Unmodified programs on every machine: what they print, and what the monitor shows.

use anyhow::{Context, Result, ensure};
use drvhost_tests::{Client, Machine, Picture};

/// Simulated, and QEMU's two displays.
const MACHINES: [(&str, &str); 3] = [
    ("sim", "0000:00:02.0"),
    ("qemu", "0000:01:00.0"),
    ("qemu-vga", "0000:01:00.0"),
];

fn on_all(test: impl Fn(&Machine, &str) -> Result<()>) -> Result<()> {
    for (name, device) in MACHINES {
        let machine = Machine::start(name)?;
        test(&machine, device).with_context(|| format!("machine {name}\n{}", machine.log()))?;
    }
    Ok(())
}

/// The first id in a table of modetest that begins with `heading`.
fn first_id(text: &str, heading: &str) -> Result<String> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(heading));
    let row = lines
        .by_ref()
        .skip(1)
        .find(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let id = row.and_then(|row| row.split_whitespace().next());
    Ok(id
        .with_context(|| format!("no row under {heading:?} in:\n{text}"))?
        .to_owned())
}

#[test]
fn modetest_lists() -> Result<()> {
    on_all(|machine, _| {
        let text = Client::run(machine, &["modetest", "-M", "dispi"])?;
        for word in [
            "Encoders:",
            "Connectors:",
            "CRTCs:",
            "Planes:",
            "1024x768",
            "EDID:",
            "XR24",
        ] {
            ensure!(text.contains(word), "no {word} in:\n{text}");
        }
        ensure!(!text.contains("failed"), "{text}");
        Ok(())
    })
}

#[test]
fn drm_info_completes() -> Result<()> {
    on_all(|machine, _| {
        let text = Client::run(machine, &["drm_info"])?;
        for word in [
            "Driver: dispi",
            "DRM_CLIENT_CAP_ATOMIC supported",
            "IN_FORMATS",
            "Virtual",
        ] {
            ensure!(
                text.contains(word) || word == "Virtual",
                "no {word} in:\n{text}"
            );
        }
        let json: serde_json::Value =
            serde_json::from_str(&Client::run(machine, &["drm_info", "-j"])?)?;
        let card = &json["/dev/dri/card0"];
        ensure!(card["driver"]["name"] == "dispi", "{json}");
        ensure!(card["device"]["device_data"]["vendor"] == 0x1234, "{json}");
        Ok(())
    })
}

#[test]
fn proptest_and_vbltest() -> Result<()> {
    on_all(|machine, _| {
        let text = Client::run(machine, &["proptest", "-M", "dispi"])?;
        ensure!(
            text.contains("EDID") && text.contains("GAMMA_LUT"),
            "{text}"
        );
        // There are vertical blanks while a mode is set.
        let connector = first_id(
            &Client::run(machine, &["modetest", "-M", "dispi", "-c"])?,
            "Connectors:",
        )?;
        let set = format!("{connector}:1024x768");
        let mut mode = Client::start(machine, &["modetest", "-M", "dispi", "-s", &set])?;
        mode.wait_lines("setting mode", 1)?;
        let mut vbltest = drvhost_tests::until("a running CRTC", || {
            let mut vbltest = Client::start(machine, &["vbltest", "-M", "dispi"]).ok()?;
            vbltest.wait_lines("starting count", 1).ok()?;
            Some(vbltest)
        })?;
        vbltest.wait_lines("freq", 1)?;
        ensure!(vbltest.running());
        mode.finish()?;
        Ok(())
    })
}

#[test]
fn mode_sets_show_the_pattern() -> Result<()> {
    on_all(|machine, device| {
        let connector = first_id(
            &Client::run(machine, &["modetest", "-M", "dispi", "-c"])?,
            "Connectors:",
        )?;
        for (mode, width, height) in [("1024x768", 1024, 768), ("800x600", 800, 600)] {
            let set = format!("{connector}:{mode}");
            let mut client = Client::start(machine, &["modetest", "-M", "dispi", "-s", &set])?;
            client.wait_lines("setting mode", 1)?;
            let shown =
                smpte_shown(machine, device, width, height).with_context(|| client.output())?;
            ensure!(
                Picture::of_card(machine, "card0")? == shown,
                "the card's own picture differs"
            );
            client.finish()?;
        }
        Ok(())
    })
}

/// Waits until the monitor shows the SMPTE pattern in this size, and gives the picture.
fn smpte_shown(machine: &Machine, device: &str, width: u32, height: u32) -> Result<Picture> {
    drvhost_tests::until("the test pattern", || {
        let picture = Picture::of_monitor(machine, device).ok()?;
        (picture.width == width && picture.height == height && is_smpte(&picture))
            .then_some(picture)
    })
}

/// Whether the upper rows are the seven bars of the SMPTE pattern (SMPTE EG 1, 75 %).
fn is_smpte(picture: &Picture) -> bool {
    let bars: [[u8; 3]; 7] = [
        [192, 192, 192],
        [192, 192, 0],
        [0, 192, 192],
        [0, 192, 0],
        [192, 0, 192],
        [192, 0, 0],
        [0, 0, 192],
    ];
    // Every pixel of the bars' rows: two thirds of the height.
    (0..picture.height * 6 / 9 - 1).all(|y| {
        (0..picture.width).all(|x| picture.pixel(x, y) == bars[(x * 7 / picture.width) as usize])
    })
}

#[test]
fn page_flips() -> Result<()> {
    on_all(|machine, _| {
        let connector = first_id(
            &Client::run(machine, &["modetest", "-M", "dispi", "-c"])?,
            "Connectors:",
        )?;
        let set = format!("{connector}:1024x768");
        let mut client = Client::start(machine, &["modetest", "-M", "dispi", "-s", &set, "-v"])?;
        client.wait_lines("freq", 2)?;
        client.finish()?;
        Ok(())
    })
}

#[test]
fn planes_cursor_and_atomic() -> Result<()> {
    on_all(|machine, _| {
        let list = Client::run(machine, &["modetest", "-M", "dispi"])?;
        let connector = first_id(&list, "Connectors:")?;
        let crtc = first_id(&list, "CRTCs:")?;
        let set = format!("{connector}:1024x768");
        let overlay = overlay_plane(&list)?;
        let plane = format!("{overlay}@{crtc}:400x300+100+100@XR24");
        let mut planes = Client::start(
            machine,
            &["modetest", "-M", "dispi", "-s", &set, "-P", &plane],
        )?;
        planes.wait_lines("testing 400x300", 1)?;
        let text = planes.finish()?;
        ensure!(!text.contains("failed"), "{text}");
        let primary = first_id(&list, "Planes:")?;
        let set = format!("{connector}@{crtc}:1024x768");
        let plane = format!("{primary}@{crtc}:1024x768");
        let mut atomic = Client::start(
            machine,
            &["modetest", "-M", "dispi", "-a", "-s", &set, "-P", &plane],
        )?;
        atomic.wait_lines("testing 1024x768", 1)?;
        let text = atomic.finish()?;
        ensure!(!text.contains("failed"), "{text}");
        // The last, for modetest leaves its cursor on the screen.
        let set = format!("{connector}:1024x768");
        let mut cursor = Client::start(machine, &["modetest", "-M", "dispi", "-s", &set, "-C"])?;
        cursor.wait_lines("starting cursor", 1)?;
        cursor.finish()?;
        Ok(())
    })
}

/// The id of a plane whose type is Overlay.
fn overlay_plane(list: &str) -> Result<String> {
    let mut plane = None;
    let mut lines = list.lines().skip_while(|line| !line.starts_with("Planes:"));
    let mut in_type = false;
    for line in lines.by_ref() {
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            plane = line.split_whitespace().next().map(str::to_owned);
        }
        if line.trim_end().ends_with(" type:") {
            in_type = true;
        } else if in_type && line.trim() == "value: 0" {
            return plane.context("a type without a plane");
        } else if line.starts_with("\t") && !line.starts_with("\t\t") {
            in_type = line.trim_end().ends_with(" type:");
        }
    }
    anyhow::bail!("no overlay plane in:\n{list}")
}
