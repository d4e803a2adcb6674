// SPDX-License-Identifier: MIT
//! What the commands get.

use super::{Daemon, view};
use crate::control::protocol::{Failure, Kind, Request};
use crate::control::report::{DeviceReport, Diagnosis};
use crate::supervisor::{Command, Device, manifest_device};
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError};

fn value(value: impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::new(Kind::Failed, error.to_string()))
}

impl Daemon {
    /// Does what a command asks.
    pub fn command(&self, request: Request) -> Result<Value, Failure> {
        match request {
            Request::List => value(self.all().iter().map(|d| d.report()).collect::<Vec<_>>()),
            Request::Show { device } => value(show(&*self.find(&device)?)),
            Request::Doctor { device } => self.doctor(device.as_deref()),
            Request::Logs { device, lines, .. } => {
                value(self.lines.last(device.as_deref().unwrap_or(""), lines))
            }
            Request::Crashes { id: None } => value(self.context.crashes.all()),
            Request::Crashes { id: Some(id) } => match self.context.crashes.get(id) {
                Some(report) => value([report]),
                None => Err(Failure::new(
                    Kind::NotFound,
                    format!("no crash report {id}; `drvhost crashes` lists those that are kept"),
                )),
            },
            Request::Restart { device } => self.tell(&device, Command::Restart, "restarted"),
            Request::Disable { device } => self.tell(&device, Command::Disable, "disabled"),
            Request::Enable { device } => self.tell(&device, Command::Enable, "enabled"),
            Request::Unbind { device } => self.tell(&device, Command::Unbind, "unbound"),
            Request::Bind { device, driver } => self.bind(&device, driver),
            Request::Nodes => self.nodes(),
            Request::Step { ns } => self.step(ns),
            Request::Stop => {
                let _ = self.stop.send(());
                Ok(json!({ "done": "the daemon stops" }))
            }
            // The control server answers this one: its answer is not JSON.
            Request::Screenshot { device } => self
                .screenshot(&device)
                .map(|png| json!({ "length": png.len() })),
        }
    }

    /// What a card shows, as PNG.
    pub fn screenshot(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let device = self.find(name)?;
        let failed = |text: String| Failure::new(Kind::Failed, format!("{name}: {text}"));
        let front = device
            .front()
            .ok_or_else(|| failed("has no nodes".into()))?;
        let image = front
            .screenshot()
            .map_err(|error| failed(error.to_string()))?;
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, image.width, image.height);
        encoder.set_color(png::ColorType::Rgb);
        let written = encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&image.rgb));
        written.map_err(|error| failed(error.to_string()))?;
        Ok(bytes)
    }

    fn all(&self) -> Vec<Arc<Device>> {
        self.devices().values().cloned().collect()
    }

    /// A device by PCI address or by the name of a node.
    fn find(&self, name: &str) -> Result<Arc<Device>, Failure> {
        let node = name.strip_prefix("/dev/dri/").unwrap_or(name);
        let found = self.all().into_iter().find(|device| {
            let report = device.report();
            report.address == name || report.nodes.iter().any(|n| n == node)
        });
        found.ok_or_else(|| {
            let message = format!("no device or node `{name}`; `drvhost list` shows them");
            Failure::new(Kind::NotFound, message)
        })
    }

    fn tell(&self, device: &str, command: Command, done: &str) -> Result<Value, Failure> {
        let device = self.find(device)?;
        device.tell(command);
        Ok(json!({ "done": format!("{}: {done}", device.found.address) }))
    }

    fn bind(&self, device: &str, driver: String) -> Result<Value, Failure> {
        let store = self.context.store();
        if !store
            .manifests()
            .iter()
            .any(|manifest| manifest.item.driver == driver)
        {
            let message = format!("no manifest has a driver `{driver}`");
            return Err(Failure::new(Kind::NotFound, message));
        }
        let done = format!("bound to {driver}");
        self.tell(device, Command::Bind(driver), &done)
    }

    fn doctor(&self, name: Option<&str>) -> Result<Value, Failure> {
        let devices = match name {
            Some(name) => vec![self.find(name)?],
            None => self.all(),
        };
        let store = self.context.store();
        let problems = self
            .problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let explain = |device: &Arc<Device>| Diagnosis {
            device: device.report(),
            text: store.explain(&manifest_device(&device.found)).to_string(),
            problems: problems.clone(),
        };
        value(devices.iter().map(explain).collect::<Vec<_>>())
    }

    /// What `drvhost exec` shows to a program.
    fn nodes(&self) -> Result<Value, Failure> {
        let entries: Vec<_> = self
            .all()
            .iter()
            .filter_map(|device| view::entry(device))
            .collect();
        value(entries)
    }

    fn step(&self, ns: u64) -> Result<Value, Failure> {
        if !self.context.clock.is_stepped() {
            let message = "the clock is the system's; start the daemon with --clock stepped";
            return Err(Failure::new(Kind::Failed, message));
        }
        self.context.clock.advance(ns);
        self.context.watchdog.look();
        self.all()
            .iter()
            .for_each(|device| device.tell(Command::Stepped));
        Ok(json!({ "done": format!("{} ns", self.context.now()), "now": self.context.now() }))
    }
}

fn show(device: &Device) -> DeviceReport {
    let mut report = device.report();
    if let Some(front) = device.front() {
        report.front = serde_json::to_value(front.describe()).unwrap_or(Value::Null);
    }
    report
}
