// SPDX-License-Identifier: MIT
//! Rectangles of pixels, and lists of damaged ones.

/// A rectangle: `x1 <= x < x2`, `y1 <= y < y2`. Empty where `x1 >= x2` or `y1 >= y2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    /// Left, inclusive.
    pub x1: i32,
    /// Top, inclusive.
    pub y1: i32,
    /// Right, exclusive.
    pub x2: i32,
    /// Bottom, exclusive.
    pub y2: i32,
}

impl Rect {
    /// From a corner and a size; the far corner saturates.
    pub fn new(x: i32, y: i32, width: u32, height: u32) -> Rect {
        let far =
            |start: i32, size: u32| start.saturating_add(i32::try_from(size).unwrap_or(i32::MAX));
        Rect {
            x1: x,
            y1: y,
            x2: far(x, width),
            y2: far(y, height),
        }
    }

    /// Holds no pixel.
    pub fn is_empty(&self) -> bool {
        self.x1 >= self.x2 || self.y1 >= self.y2
    }

    /// Width in pixels; zero where empty.
    pub fn width(&self) -> u32 {
        self.x2.saturating_sub(self.x1).max(0).unsigned_abs()
    }

    /// Height in pixels; zero where empty.
    pub fn height(&self) -> u32 {
        self.y2.saturating_sub(self.y1).max(0).unsigned_abs()
    }

    /// The common part, possibly empty.
    pub fn intersect(&self, other: &Rect) -> Rect {
        Rect {
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            x2: self.x2.min(other.x2),
            y2: self.y2.min(other.y2),
        }
    }

    /// The smallest rectangle that holds both; an empty one counts for nothing.
    pub fn union(&self, other: &Rect) -> Rect {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        Rect {
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
            x2: self.x2.max(other.x2),
            y2: self.y2.max(other.y2),
        }
    }

    /// Moved by an offset, saturating.
    pub fn shift(&self, dx: i32, dy: i32) -> Rect {
        Rect {
            x1: self.x1.saturating_add(dx),
            y1: self.y1.saturating_add(dy),
            x2: self.x2.saturating_add(dx),
            y2: self.y2.saturating_add(dy),
        }
    }
}

/// Rectangles to draw again. Past [`Damage::MOST`] they become one that holds them all: drawing a
/// little more is cheaper than walking a long list.
#[derive(Clone, Debug, Default)]
pub struct Damage {
    rects: Vec<Rect>,
}

impl Damage {
    /// The longest list.
    pub const MOST: usize = 16;

    /// Adds a rectangle.
    pub fn add(&mut self, rect: Rect) {
        if rect.is_empty() {
            return;
        }
        self.rects.push(rect);
        if self.rects.len() > Self::MOST {
            let all = self.rects.iter().fold(Rect::default(), |a, b| a.union(b));
            self.rects = vec![all];
        }
    }

    /// Cuts everything to `bounds`.
    pub fn clip(&mut self, bounds: &Rect) {
        for rect in &mut self.rects {
            *rect = rect.intersect(bounds);
        }
        self.rects.retain(|rect| !rect.is_empty());
    }

    /// The rectangles; they may overlap.
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_collapse_to_their_bounds() {
        let mut damage = Damage::default();
        for i in 0..=i32::try_from(Damage::MOST).unwrap() {
            damage.add(Rect::new(i * 10, i, 5, 5));
        }
        damage.add(Rect::default());
        assert_eq!(damage.rects(), &[Rect::new(0, 0, 165, 21)]);
        damage.clip(&Rect::new(0, 0, 100, 100));
        assert_eq!(damage.rects(), &[Rect::new(0, 0, 100, 21)]);
        damage.clip(&Rect::new(500, 0, 1, 1));
        assert!(damage.rects().is_empty());
    }

    #[test]
    fn corners_saturate() {
        let rect = Rect::new(i32::MAX, i32::MIN, u32::MAX, 7);
        assert!(rect.is_empty());
        assert_eq!(Rect::new(i32::MIN, 0, u32::MAX, 1).width(), i32::MAX as u32);
    }
}
