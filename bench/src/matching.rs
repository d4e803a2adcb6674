// SPDX-License-Identifier: MIT
//! Reading a thousand manifests, and matching them with a thousand devices.

use crate::placement::Cpus;
use crate::row::Row;
use crate::samples::Samples;
use anyhow::{Context, Result, ensure};
use drvhost_manifest::{Device, PciAddress, PciIds, Store};
use std::path::Path;
use std::time::Instant;

const COUNT: u16 = 1000;
const VENDOR: u16 = 0x1234;

/// Measures so often.
pub fn measure(cpus: &Cpus, rounds: usize) -> Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    for number in 0..COUNT {
        std::fs::write(
            dir.path().join(format!("driver{number}.ron")),
            manifest(number),
        )?;
    }
    cpus.during(|| rows(dir.path(), &cpus.to_string(), rounds))
}

fn rows(dir: &Path, cpus: &str, rounds: usize) -> Result<Vec<Row>> {
    let placement = format!("CPU {cpus}");
    let [mut read, mut load, mut select] = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        let start = Instant::now();
        let mut bytes = 0;
        for entry in std::fs::read_dir(dir)? {
            bytes += std::fs::read(entry?.path())?.len();
        }
        read.push(start.elapsed());
        ensure!(bytes > 0, "empty manifests");

        let start = Instant::now();
        let (store, problems) = Store::load(&[dir]);
        load.push(start.elapsed());
        ensure!(problems.is_empty(), "{problems:?}");

        let devices = (0..COUNT).map(device).collect::<Result<Vec<_>>>()?;
        let start = Instant::now();
        for (number, device) in devices.iter().enumerate() {
            let selection = store.select(device);
            let driver = selection.candidates.first().map(|first| first.driver());
            ensure!(
                driver == Some(&format!("driver{number}")),
                "{device}: {selection:?}"
            );
        }
        select.push(start.elapsed());
    }
    let row = |name, times: &[_]| -> Result<Row> {
        let samples = Samples::millis(times).context("no rounds")?;
        Ok(Row::new(name, &placement, "ms", &samples))
    };
    let read = row("plain reading of 1000 files", &read)?;
    let load = row("loading 1000 manifests", &load)?.against(Some(&read));
    let select = row("matching 1000 manifests, 1000 devices", &select)?.against(Some(&read));
    Ok(vec![read, load, select])
}

/// Rules as real drivers have: lists, ranges, subsystems and classes.
fn manifest(number: u16) -> String {
    let device = number * 16;
    format!(
        "Manifest(
    driver: \"driver{number}\",
    library: \"driver{number}.so\",
    kind: Display,
    notes: \"The driver of one family of devices\",
    matches: [
        (vendor: {VENDOR:#x}, device: [{device:#x}, {second:#x}, {third:#x}]),
        (vendor: {VENDOR:#x}, device: (first: {from:#x}, last: {to:#x})),
        (vendor: {other:#x}, device: {device:#x}, subvendor: 0x1af4, subdevice: 0x1100),
    ],
)
",
        second = device + 1,
        third = device + 2,
        from = device + 3,
        to = device + 15,
        other = VENDOR + 1,
    )
}

/// A device of the driver of this number, through each of its rules in turn.
fn device(number: u16) -> Result<Device> {
    let offset = [0, 1, 2, 3, 9, 15][usize::from(number % 6)];
    let [bus, slot, function] = [number / 256, number / 8 % 32, number % 8].map(|n| n as u8);
    Ok(Device {
        address: PciAddress::new(0, bus, slot, function).context("no such address")?,
        ids: PciIds {
            vendor: VENDOR,
            device: number * 16 + offset,
            class: 0x03_0000,
            ..PciIds::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_gets_its_driver() -> Result<()> {
        let rows = measure(&Cpus::allowed()?, 1)?;
        assert_eq!(rows.len(), 3);
        Ok(())
    }
}
