// SPDX-License-Identifier: MIT
//! Mode lists that Linux 6.12 made, byte for byte: of QEMU's monitor, and of none.

use super::QEMU;
use crate::edid::{Edid, Limits, for_client, no_edid_modes, prefer};
use crate::uapi::names::from_fixed;
use crate::uapi::*;

const PP: u32 = DRM_MODE_FLAG_PHSYNC | DRM_MODE_FLAG_PVSYNC;
const PN: u32 = DRM_MODE_FLAG_PHSYNC | DRM_MODE_FLAG_NVSYNC;
const NP: u32 = DRM_MODE_FLAG_NHSYNC | DRM_MODE_FLAG_PVSYNC;
const NN: u32 = DRM_MODE_FLAG_NHSYNC | DRM_MODE_FLAG_NVSYNC;
const DRIVER: u32 = DRM_MODE_TYPE_DRIVER;
const FIRST: u32 = DRM_MODE_TYPE_DRIVER | DRM_MODE_TYPE_PREFERRED;

/// Clock; pixels; lines; flags; type.
type Row = (u32, [u16; 4], [u16; 4], u32, u32);

/// virtio-gpu, which shows all that the monitor offers.
#[rustfmt::skip]
const QEMU_ALL: &[Row] = &[
    (107300, [1280, 1600, 1638, 1728], [800, 804, 808, 828], NN, FIRST),
    (742500, [5120, 6216, 6304, 6600], [2160, 2168, 2178, 2250], PP, DRIVER),
    (594000, [4096, 5064, 5152, 5280], [2160, 2168, 2178, 2250], PP, DRIVER),
    (594000, [3840, 4016, 4104, 4400], [2160, 2168, 2178, 2250], PP, DRIVER),
    (593407, [3840, 4016, 4104, 4400], [2160, 2168, 2178, 2250], PP, DRIVER),
    (594000, [3840, 4896, 4984, 5280], [2160, 2168, 2178, 2250], PP, DRIVER),
    (234000, [1920, 2048, 2256, 2600], [1440, 1441, 1444, 1500], NP, DRIVER),
    (185625, [2560, 3108, 3152, 3300], [1080, 1084, 1089, 1125], PP, DRIVER),
    (218250, [1856, 1952, 2176, 2528], [1392, 1393, 1396, 1439], NP, DRIVER),
    (204750, [1792, 1920, 2120, 2448], [1344, 1345, 1348, 1394], NP, DRIVER),
    (162000, [2048, 2074, 2154, 2250], [1152, 1153, 1156, 1200], PP, DRIVER),
    (193250, [1920, 2056, 2256, 2592], [1200, 1203, 1209, 1245], NP, DRIVER),
    (148500, [1920, 2008, 2052, 2200], [1080, 1084, 1089, 1125], NN, DRIVER),
    (148500, [1920, 2448, 2492, 2640], [1080, 1084, 1089, 1125], PP, DRIVER),
    (162000, [1600, 1664, 1856, 2160], [1200, 1201, 1204, 1250], PP, DRIVER),
    (146250, [1680, 1784, 1960, 2240], [1050, 1053, 1059, 1089], NP, DRIVER),
    (121750, [1400, 1488, 1632, 1864], [1050, 1053, 1057, 1089], NP, DRIVER),
    (108000, [1280, 1328, 1440, 1688], [1024, 1025, 1028, 1066], PP, DRIVER),
    (106500, [1440, 1520, 1672, 1904], [900, 903, 909, 934], NP, DRIVER),
    (108000, [1280, 1376, 1488, 1800], [960, 961, 964, 1000], PP, DRIVER),
    (85500, [1360, 1424, 1536, 1792], [768, 771, 777, 795], PP, DRIVER),
    (79500, [1280, 1344, 1472, 1664], [768, 771, 778, 798], NP, DRIVER),
    (65000, [1024, 1048, 1184, 1344], [768, 771, 777, 806], NN, DRIVER),
    (40000, [800, 840, 968, 1056], [600, 601, 605, 628], PP, DRIVER),
    (25200, [640, 656, 752, 800], [480, 490, 492, 525], NN, DRIVER),
    (25175, [640, 656, 752, 800], [480, 490, 492, 525], NN, DRIVER),
];

/// vkms, whose monitor has no EDID and which prefers 1024 × 768.
#[rustfmt::skip]
const NO_EDID: &[Row] = &[
    (65000, [1024, 1048, 1184, 1344], [768, 771, 777, 806], NN, FIRST),
    (556744, [4096, 4104, 4136, 4176], [2160, 2208, 2216, 2222], PN, DRIVER),
    (556188, [4096, 4104, 4136, 4176], [2160, 2208, 2216, 2222], PN, DRIVER),
    (348500, [2560, 2752, 3032, 3504], [1600, 1603, 1609, 1658], NP, DRIVER),
    (268500, [2560, 2608, 2640, 2720], [1600, 1603, 1609, 1646], PN, DRIVER),
    (234000, [1920, 2048, 2256, 2600], [1440, 1441, 1444, 1500], NP, DRIVER),
    (218250, [1856, 1952, 2176, 2528], [1392, 1393, 1396, 1439], NP, DRIVER),
    (204750, [1792, 1920, 2120, 2448], [1344, 1345, 1348, 1394], NP, DRIVER),
    (162000, [2048, 2074, 2154, 2250], [1152, 1153, 1156, 1200], PP, DRIVER),
    (193250, [1920, 2056, 2256, 2592], [1200, 1203, 1209, 1245], NP, DRIVER),
    (154000, [1920, 1968, 2000, 2080], [1200, 1203, 1209, 1235], PN, DRIVER),
    (148500, [1920, 2008, 2052, 2200], [1080, 1084, 1089, 1125], NN, DRIVER),
    (162000, [1600, 1664, 1856, 2160], [1200, 1201, 1204, 1250], PP, DRIVER),
    (146250, [1680, 1784, 1960, 2240], [1050, 1053, 1059, 1089], NP, DRIVER),
    (119000, [1680, 1728, 1760, 1840], [1050, 1053, 1059, 1080], PN, DRIVER),
    (121750, [1400, 1488, 1632, 1864], [1050, 1053, 1057, 1089], NP, DRIVER),
    (101000, [1400, 1448, 1480, 1560], [1050, 1053, 1057, 1080], PN, DRIVER),
    (108000, [1600, 1624, 1704, 1800], [900, 901, 904, 1000], PP, DRIVER),
    (108000, [1280, 1328, 1440, 1688], [1024, 1025, 1028, 1066], PP, DRIVER),
    (106500, [1440, 1520, 1672, 1904], [900, 903, 909, 934], NP, DRIVER),
    (88750, [1440, 1488, 1520, 1600], [900, 903, 909, 926], PN, DRIVER),
    (108000, [1280, 1376, 1488, 1800], [960, 961, 964, 1000], PP, DRIVER),
    (85500, [1366, 1436, 1579, 1792], [768, 771, 774, 798], PP, DRIVER),
    (72000, [1366, 1380, 1436, 1500], [768, 769, 772, 800], PP, DRIVER),
    (85500, [1360, 1424, 1536, 1792], [768, 771, 777, 795], PP, DRIVER),
    (83500, [1280, 1352, 1480, 1680], [800, 803, 809, 831], NP, DRIVER),
    (71000, [1280, 1328, 1360, 1440], [800, 803, 809, 823], PN, DRIVER),
    (79500, [1280, 1344, 1472, 1664], [768, 771, 778, 798], NP, DRIVER),
    (68250, [1280, 1328, 1360, 1440], [768, 771, 778, 790], PN, DRIVER),
    (74250, [1280, 1390, 1430, 1650], [720, 725, 730, 750], PP, DRIVER),
    (40000, [800, 840, 968, 1056], [600, 601, 605, 628], PP, DRIVER),
    (36000, [800, 824, 896, 1024], [600, 601, 603, 625], PP, DRIVER),
    (33750, [848, 864, 976, 1088], [480, 486, 494, 517], PP, DRIVER),
    (25175, [640, 656, 752, 800], [480, 490, 492, 525], NN, DRIVER),
];

fn rows(modes: &[drm_mode_modeinfo]) -> Vec<Row> {
    let row = |m: &drm_mode_modeinfo| {
        let h = [m.hdisplay, m.hsync_start, m.hsync_end, m.htotal];
        let v = [m.vdisplay, m.vsync_start, m.vsync_end, m.vtotal];
        assert_eq!(from_fixed(&m.name), format!("{}x{}", h[0], v[0]));
        assert_eq!((m.hskew, m.vscan), (0, 0));
        (m.clock, h, v, m.flags, m.type_)
    };
    modes.iter().map(row).collect()
}

#[test]
fn qemus_monitor_offers_what_linux_says() {
    let edid = Edid::parse(&QEMU).unwrap();
    let modes = edid.modes(&Limits::default(), |_| true);
    assert_eq!(rows(&for_client(&modes, false)), QEMU_ALL);
}

#[test]
fn sixteen_mebibytes_of_video_memory_show_what_bochs_shows() {
    let edid = Edid::parse(&QEMU).unwrap();
    // Linux's driver wants room for two frames.
    let two_frames_fit = |mode: &drm_mode_modeinfo| {
        u32::from(mode.hdisplay) * u32::from(mode.vdisplay) * 4 * 2 <= 16 << 20
    };
    let modes = edid.modes(&Limits::default(), two_frames_fit);
    let area = |row: &Row| u32::from(row.1[0]) * u32::from(row.2[0]);
    let expected: Vec<Row> = QEMU_ALL
        .iter()
        .filter(|row| area(row) * 8 <= 16 << 20)
        .copied()
        .collect();
    assert_eq!(expected.len(), 15, "as many as bochs showed");
    assert_eq!(rows(&for_client(&modes, false)), expected);
    let rates: Vec<u32> = modes.iter().map(|m| m.vrefresh).collect();
    assert_eq!(
        rates,
        [75, 60, 50, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60]
    );
}

#[test]
fn programs_that_ask_get_aspect_ratios() {
    let edid = Edid::parse(&QEMU).unwrap();
    let modes = for_client(&edid.modes(&Limits::default(), |_| true), true);
    let ratios: Vec<(u16, u32)> = modes
        .iter()
        .filter(|m| m.flags & DRM_MODE_FLAG_PIC_AR_MASK != 0)
        .map(|m| (m.hdisplay, m.flags & DRM_MODE_FLAG_PIC_AR_MASK))
        .collect();
    assert_eq!(
        ratios,
        [
            (5120, DRM_MODE_FLAG_PIC_AR_64_27),
            (4096, DRM_MODE_FLAG_PIC_AR_256_135),
            (3840, DRM_MODE_FLAG_PIC_AR_16_9),
            (3840, DRM_MODE_FLAG_PIC_AR_16_9),
            (3840, DRM_MODE_FLAG_PIC_AR_16_9),
            (2560, DRM_MODE_FLAG_PIC_AR_64_27),
            (1920, DRM_MODE_FLAG_PIC_AR_16_9),
            (640, DRM_MODE_FLAG_PIC_AR_4_3),
        ]
    );
}

#[test]
fn without_an_edid_the_standard_modes_remain() {
    let limits = Limits::default();
    let mut modes = no_edid_modes(8192, 8192, &limits, |_| true);
    prefer(&mut modes, 1024, 768);
    assert_eq!(rows(&modes), NO_EDID);

    let small = rows(&no_edid_modes(1024, 768, &limits, |_| true));
    let sizes: Vec<(u16, u16, u32)> = small.iter().map(|m| (m.1[0], m.2[0], m.0)).collect();
    assert_eq!(
        sizes,
        [
            (1024, 768, 65000),
            (800, 600, 40000),
            (800, 600, 36000),
            (848, 480, 33750),
            (640, 480, 25175),
        ]
    );
    assert!(small.iter().all(|m| m.4 == DRIVER));
}
