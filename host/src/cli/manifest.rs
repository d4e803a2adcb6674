// SPDX-License-Identifier: MIT
//! `drvhost manifest`.

use super::Output;
use super::args::ManifestAction;
use crate::control::protocol::{Failure, Kind};
use drvhost_manifest::{Problem, Store};
use std::path::PathBuf;

pub fn run(action: ManifestAction, out: &mut Output<'_>) -> Result<(), Failure> {
    match action {
        ManifestAction::Check { files } => check(&files, out),
        ManifestAction::Generate { driver } => Err(Failure::new(
            Kind::Failed,
            format!(
                "{}: reading a driver's own tables is not built yet",
                driver.display()
            ),
        )),
    }
}

fn check(files: &[PathBuf], out: &mut Output<'_>) -> Result<(), Failure> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut good = 0;
    for file in files {
        if file.is_dir() {
            let (store, found) = Store::load(&[file]);
            good += store.manifests().len() + store.overrides().len();
            problems.extend(found);
        } else {
            match drvhost_manifest::check(file) {
                Ok(_) => good += 1,
                Err(problem) => problems.push(problem),
            }
        }
    }
    let texts: Vec<_> = problems.iter().map(Problem::to_string).collect();
    if out.json {
        out.json(&serde_json::json!({ "good": good, "problems": texts }))?;
    } else {
        texts.iter().try_for_each(|text| out.text(text))?;
        out.text(format!("{good} good, {} bad", texts.len()))?;
    }
    match texts.len() {
        0 => Ok(()),
        bad => Err(Failure::new(
            Kind::Failed,
            format!("{bad} of the files cannot be used"),
        )),
    }
}
