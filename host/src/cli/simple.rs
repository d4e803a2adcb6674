// SPDX-License-Identifier: MIT
//! Verbs that ask for one thing and say what came of it.

use super::Output;
use crate::control::client::ask;
use crate::control::protocol::{Failure, Request};

pub fn run(request: Request, out: &mut Output<'_>) -> Result<(), Failure> {
    let answer = ask(&request)?;
    if out.json {
        return out.json(&answer);
    }
    match answer.get("done").and_then(|text| text.as_str()) {
        Some(text) => out.text(text),
        None => out.json(&answer),
    }
}
