// SPDX-License-Identifier: MIT
//! The rows of the table, and how they are printed and written.

use crate::samples::Samples;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// The value in the middle.
    pub median: f64,
    /// What 99 of 100 values do not exceed; none where there is one value only.
    pub p99: Option<f64>,
    /// Of both.
    pub unit: &'static str,
    /// Which process sat where.
    pub placement: String,
    /// The median as a multiple of another row's median with the same placement.
    pub ratio: Option<f64>,
    /// That row's name.
    pub ratio_to: Option<String>,
    /// What it should be.
    #[serde(skip)]
    pub aim: Option<Aim>,
}

/// What a row should be at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// The ratio.
    Ratio(f64),
    /// The median.
    Median(f64),
    /// The median, and the 99th percentile.
    Both(f64, f64),
}

impl Row {
    /// A row of samples.
    pub fn new(name: &str, placement: &str, unit: &'static str, samples: &Samples) -> Row {
        Row {
            p99: Some(samples.p99()),
            ..Row::single(name, placement, unit, samples.median())
        }
    }

    /// A row of one value.
    pub fn single(name: &str, placement: &str, unit: &'static str, value: f64) -> Row {
        Row {
            name: name.into(),
            median: value,
            p99: None,
            unit,
            placement: placement.into(),
            ratio: None,
            ratio_to: None,
            aim: None,
        }
    }

    /// With a ratio to another row, if there is one.
    pub fn against(mut self, floor: Option<&Row>) -> Row {
        if let Some(floor) = floor {
            self.ratio = Some(self.median / floor.median);
            self.ratio_to = Some(floor.name.clone());
        }
        self
    }

    /// With an aim.
    pub fn aiming(mut self, aim: impl Into<Option<Aim>>) -> Row {
        self.aim = aim.into();
        self
    }

    /// Whether the aim was reached; `None` without one.
    pub fn reached(&self) -> Option<bool> {
        Some(match self.aim? {
            Aim::Ratio(limit) => self.ratio? <= limit,
            Aim::Median(limit) => self.median <= limit,
            Aim::Both(median, p99) => self.median <= median && self.p99? <= p99,
        })
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Aim::Ratio(limit) => write!(f, "ratio {limit:.1}"),
            Aim::Median(limit) => write!(f, "{limit}"),
            Aim::Both(median, p99) => write!(f, "{median} / {p99}"),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p99 = self
            .p99
            .map(|value| format!("{value:.2}"))
            .unwrap_or_default();
        let ratio = self
            .ratio
            .map(|value| format!("{value:.2} x"))
            .unwrap_or_default();
        let verdict = match (self.reached(), self.aim) {
            (Some(true), Some(aim)) => format!("aim {aim}: reached"),
            (Some(false), Some(aim)) => format!("aim {aim}: aim missed"),
            _ => String::new(),
        };
        let line = format!(
            "{:<40} {:>10.2} {:>10} {:<7} {:>8}  {:<42} {}",
            self.name, self.median, p99, self.unit, ratio, self.placement, verdict
        );
        f.write_str(line.trim_end())
    }
}

/// The line above the rows.
pub fn heading() -> String {
    format!(
        "{:<40} {:>10} {:>10} {:<7} {:>8}  {}",
        "what", "median", "p99", "unit", "ratio", "placement"
    )
}

/// Writes the rows as a JSON list.
pub fn write(rows: &[Row], path: &Path) -> Result<()> {
    let write = || -> Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mut text = serde_json::to_string_pretty(rows)?;
        text.push('\n');
        Ok(std::fs::write(path, text)?)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(median: f64, p99: f64) -> Row {
        Row {
            p99: Some(p99),
            ..Row::single("call", "here", "us", median)
        }
    }

    #[test]
    fn an_aim_is_a_limit_that_may_be_met_exactly() {
        let floor = row(10.0, 20.0);
        let cases = [
            (row(5.0, 20.0).aiming(Aim::Both(5.0, 20.0)), Some(true)),
            (row(5.1, 20.0).aiming(Aim::Both(5.0, 20.0)), Some(false)),
            (row(5.0, 20.1).aiming(Aim::Both(5.0, 20.0)), Some(false)),
            (
                row(10.0, 99.0)
                    .against(Some(&floor))
                    .aiming(Aim::Ratio(1.0)),
                Some(true),
            ),
            (
                row(11.0, 11.0)
                    .against(Some(&floor))
                    .aiming(Aim::Ratio(1.0)),
                Some(false),
            ),
            (row(11.0, 11.0).aiming(Aim::Ratio(1.0)), None),
            (row(0.0, 0.0).aiming(Aim::Median(0.0)), Some(true)),
            (row(1.0, 1.0), None),
        ];
        for (row, reached) in cases {
            assert_eq!(row.reached(), reached, "{row}");
            assert_eq!(
                row.to_string().contains("aim missed"),
                reached == Some(false)
            );
        }
    }

    #[test]
    fn json_has_the_fields_that_readers_expect() {
        let floor = row(2.0, 3.0);
        let row = Row {
            name: "other".into(),
            ..row(4.0, 5.0).against(Some(&floor))
        };
        let json = serde_json::to_string(&row.aiming(Aim::Ratio(1.0))).unwrap();
        assert_eq!(
            json,
            r#"{"name":"other","median":4.0,"p99":5.0,"unit":"us","placement":"here","ratio":2.0,"ratio_to":"call"}"#
        );
    }
}
