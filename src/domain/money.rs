//! Exact decimals: money with five fractional digits, rates with six.

use std::fmt;

use serde::{Serialize, Serializer};

/// An amount of money: `decimal(23,5)`, signed as the source sent it, never rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Money(i128);

/// A percentage: `decimal(12,6)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Rate(i128);

/// Why a text is not a decimal of the wanted shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDecimal {
    /// Grouping, exponents, signs in odd places, letters.
    #[error("not a plain decimal number")]
    NotPlain,
    /// More digits than the type holds; rounding would change somebody's money.
    #[error("more than {digits} digits, or more than {scale} of them after the point")]
    TooPrecise {
        /// All digits that fit.
        digits: u32,
        /// Digits after the point that fit.
        scale: u32,
    },
}

impl Money {
    /// All digits of the type.
    pub const DIGITS: u32 = 23;
    /// Digits after the point.
    pub const SCALE: u32 = 5;
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads `-209000.00`, `-209000.0` and `-209000` as the same value.
    pub fn parse(text: &str) -> Result<Self, InvalidDecimal> {
        parse_unscaled(text, Self::DIGITS, Self::SCALE).map(Self)
    }

    /// The amount times 10^5.
    pub const fn unscaled(self) -> i128 {
        self.0
    }

    /// An amount from its value times 10^5.
    pub const fn from_unscaled(unscaled: i128) -> Self {
        Self(unscaled)
    }

    /// The difference, or nothing where it would not fit.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl Rate {
    /// All digits of the type.
    pub const DIGITS: u32 = 12;
    /// Digits after the point.
    pub const SCALE: u32 = 6;

    /// Reads a percentage.
    pub fn parse(text: &str) -> Result<Self, InvalidDecimal> {
        parse_unscaled(text, Self::DIGITS, Self::SCALE).map(Self)
    }

    /// The percentage times 10^6.
    pub const fn unscaled(self) -> i128 {
        self.0
    }
}

/// Accepts `-?digits(.digits)?` and nothing else; trailing zeros after the point are free.
fn parse_unscaled(text: &str, digits: u32, scale: u32) -> Result<i128, InvalidDecimal> {
    let too_precise = InvalidDecimal::TooPrecise { digits, scale };
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return Err(InvalidDecimal::NotPlain);
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole_digits_max = (digits - scale) as usize;
    if whole.len() > whole_digits_max || fraction.len() > scale as usize {
        return Err(too_precise);
    }
    let mut unscaled: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        unscaled = unscaled * 10 + i128::from(byte - b'0');
    }
    for _ in fraction.len()..scale as usize {
        unscaled *= 10;
    }
    Ok(if negative { -unscaled } else { unscaled })
}

fn format_unscaled(f: &mut fmt::Formatter<'_>, unscaled: i128, scale: u32) -> fmt::Result {
    let unit = 10_i128.pow(scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let (whole, fraction) = (unscaled.abs() / unit, unscaled.abs() % unit);
    let fraction = format!("{fraction:0width$}", width = scale as usize);
    let shown = fraction.trim_end_matches('0');
    // Two digits at least: amounts read like amounts.
    let shown = if shown.len() < 2 { fraction.get(..2).unwrap_or(shown) } else { shown };
    write!(f, "{sign}{whole}.{shown}")
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_unscaled(f, self.0, Self::SCALE)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_unscaled(f, self.0, Self::SCALE)
    }
}

/// Avro's decimal: the shortest big-endian two's complement of the unscaled value.
fn serialize_unscaled<S: Serializer>(unscaled: i128, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = unscaled.to_be_bytes();
    let fill = if unscaled < 0 { 0xff } else { 0 };
    let skipped = bytes
        .windows(2)
        .take_while(|pair| pair[0] == fill && (pair[1] & 0x80) == (fill & 0x80))
        .count();
    serializer.serialize_bytes(&bytes[skipped..])
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_unscaled(self.0, serializer)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_unscaled(self.0, serializer)
    }
}
