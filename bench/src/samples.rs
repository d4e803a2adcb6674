// SPDX-License-Identifier: MIT
//! Statistics that a few outliers do not move: ranks of sorted samples.

use std::time::Duration;

/// Samples in rising order; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Takes samples in any order. `None` where there are none.
    pub fn new(mut values: Vec<f64>) -> Option<Samples> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Samples(values))
    }

    /// Durations in microseconds.
    pub fn micros(times: &[Duration]) -> Option<Samples> {
        Samples::new(times.iter().map(|time| time.as_secs_f64() * 1e6).collect())
    }

    /// Durations in milliseconds.
    pub fn millis(times: &[Duration]) -> Option<Samples> {
        Samples::new(times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// The sample that half of all do not exceed.
    pub fn median(&self) -> f64 {
        self.rank(50)
    }

    /// The sample that 99 of 100 do not exceed.
    pub fn p99(&self) -> f64 {
        self.rank(99)
    }

    /// Nearest rank: always a sample that was seen.
    fn rank(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0[rank.max(1) - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest_samples() {
        let cases: [(usize, f64, f64); 5] = [
            (1, 1.0, 1.0),
            (2, 1.0, 2.0),
            (3, 2.0, 3.0),
            (100, 50.0, 99.0),
            (1000, 500.0, 990.0),
        ];
        for (count, median, p99) in cases {
            let samples = Samples::new((1..=count).rev().map(|n| n as f64).collect()).unwrap();
            assert_eq!(
                (samples.median(), samples.p99()),
                (median, p99),
                "{count} samples"
            );
        }
        assert_eq!(Samples::new(Vec::new()), None);
    }

    #[test]
    fn units() {
        let times = [Duration::from_micros(1500)];
        assert_eq!(Samples::micros(&times).unwrap().median(), 1500.0);
        assert_eq!(Samples::millis(&times).unwrap().median(), 1.5);
    }
}
