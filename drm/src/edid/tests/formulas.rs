// SPDX-License-Identifier: MIT
//! CVT and GTF against what Linux computes for the same sizes and rates.

use crate::edid::formulas::{Curve, DEFAULT_CURVE, cvt, gtf};
use crate::uapi::*;

const NP: u32 = DRM_MODE_FLAG_NHSYNC | DRM_MODE_FLAG_PVSYNC;
const PN: u32 = DRM_MODE_FLAG_PHSYNC | DRM_MODE_FLAG_NVSYNC;

#[derive(Clone, Copy, Debug)]
enum By {
    Cvt,
    Reduced,
    Gtf,
    /// M 500, C 35, K 120, J 15.
    OwnGtf,
}
use By::{Cvt, Gtf, OwnGtf, Reduced};

/// Formula, width, height, rate; clock, pixels, lines, flags.
type Row = (By, u32, u32, u32, u32, [u16; 4], [u16; 4], u32);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    (Cvt, 1920, 1200, 60, 193476, [1920, 2056, 2256, 2592], [1200, 1203, 1209, 1245], NP),
    (Reduced, 1920, 1200, 60, 154017, [1920, 1968, 2000, 2080], [1200, 1203, 1209, 1235], PN),
    (Gtf, 1920, 1200, 60, 193153, [1920, 2048, 2256, 2592], [1200, 1201, 1204, 1242], NP),
    (OwnGtf, 1920, 1200, 60, 181230, [1920, 1984, 2176, 2432], [1200, 1201, 1204, 1242], PN),
    (Cvt, 1366, 768, 60, 84963, [1360, 1432, 1568, 1776], [768, 771, 781, 798], NP),
    (Reduced, 1366, 768, 60, 72031, [1360, 1408, 1440, 1520], [768, 771, 781, 790], PN),
    (Gtf, 1366, 768, 60, 85885, [1368, 1440, 1584, 1800], [768, 769, 772, 795], NP),
    (Cvt, 1600, 900, 75, 151455, [1600, 1704, 1872, 2144], [900, 903, 908, 942], NP),
    (Reduced, 1600, 900, 75, 123051, [1600, 1648, 1680, 1760], [900, 903, 908, 933], PN),
    (Gtf, 1600, 900, 75, 152280, [1600, 1704, 1880, 2160], [900, 901, 904, 940], NP),
    (Cvt, 1680, 945, 60, 130823, [1680, 1776, 1952, 2224], [945, 948, 953, 981], NP),
    (Reduced, 1680, 945, 60, 107294, [1680, 1728, 1760, 1840], [945, 948, 953, 972], PN),
    (Gtf, 1680, 945, 60, 131481, [1680, 1784, 1960, 2240], [945, 946, 949, 978], NP),
    (Cvt, 2048, 1536, 60, 267379, [2048, 2208, 2424, 2800], [1536, 1539, 1543, 1592], NP),
    (Reduced, 2048, 1536, 60, 209269, [2048, 2096, 2128, 2208], [1536, 1539, 1543, 1580], PN),
    (Gtf, 2048, 1536, 60, 267027, [2048, 2200, 2424, 2800], [1536, 1537, 1540, 1589], NP),
    (Cvt, 1024, 576, 60, 46560, [1024, 1064, 1160, 1296], [576, 579, 584, 599], NP),
    (Reduced, 1024, 576, 60, 42081, [1024, 1072, 1104, 1184], [576, 579, 584, 593], PN),
    (Gtf, 1024, 576, 60, 46970, [1024, 1064, 1168, 1312], [576, 577, 580, 597], NP),
    (OwnGtf, 360, 360, 123, 20962, [360, 368, 400, 440], [360, 361, 364, 387], PN),
    (OwnGtf, 568, 568, 100, 42870, [568, 584, 640, 712], [568, 569, 572, 602], PN),
    (OwnGtf, 776, 776, 85, 68193, [776, 800, 880, 984], [776, 777, 780, 815], PN),
    (OwnGtf, 984, 984, 75, 95570, [984, 1016, 1112, 1240], [984, 985, 988, 1027], PN),
    (OwnGtf, 1192, 1192, 72, 135286, [1192, 1232, 1352, 1512], [1192, 1193, 1196, 1242], PN),
    (OwnGtf, 1400, 1400, 61, 157826, [1400, 1448, 1592, 1784], [1400, 1401, 1404, 1450], PN),
    (OwnGtf, 1608, 1608, 60, 205258, [1608, 1664, 1832, 2056], [1608, 1609, 1612, 1664], PN),
    (OwnGtf, 1816, 1816, 50, 215984, [1816, 1880, 2064, 2312], [1816, 1817, 1820, 1868], PN),
    (OwnGtf, 2024, 1138, 123, 393231, [2024, 2112, 2320, 2616], [1138, 1139, 1142, 1222], PN),
    (OwnGtf, 2232, 1255, 100, 381717, [2232, 2320, 2552, 2872], [1255, 1256, 1259, 1329], PN),
];

#[test]
fn formulas_agree_with_linux() {
    let own = Curve {
        m: 500,
        c2: 70,
        k: 120,
        j2: 30,
    };
    for &(by, width, height, rate, clock, h, v, flags) in ROWS {
        let timing = match by {
            Cvt => cvt(width, height, rate, false),
            Reduced => cvt(width, height, rate, true),
            Gtf => gtf(width, height, rate, DEFAULT_CURVE),
            OwnGtf => gtf(width, height, rate, own),
        };
        let timing = timing.unwrap();
        assert_eq!(
            (timing.clock, timing.h, timing.v, timing.flags),
            (clock, h, v, flags),
            "{by:?} {width}x{height}@{rate}"
        );
    }
}

#[test]
fn formulas_refuse_what_makes_no_mode() {
    assert_eq!(cvt(0, 480, 60, false), None);
    assert_eq!(cvt(640, 480, 0, true), None);
    assert_eq!(gtf(640, 0, 60, DEFAULT_CURVE), None);
    // Higher rates than the formula has time for, and sizes past the uAPI's fields.
    assert_eq!(gtf(640, 480, 2_000_000, DEFAULT_CURVE), None);
    assert_eq!(cvt(70_000, 480, 60, true), None);
    // So few lines that blanking would take longer than a line.
    assert_eq!(gtf(256, 144, 60, DEFAULT_CURVE), None);
}
