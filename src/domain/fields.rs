//! One shape for every published record: a struct whose fields can be reached by position.
//!
//! The macro writes what would otherwise be repeated for fourteen records: the struct, the names
//! of its fields in schema order, and access to a field by its position (the privacy rules need
//! it). A test holds struct and schema together.

use std::borrow::Cow;

use crate::domain::{
    money::{Money, Rate},
    time::{Day, Timestamp},
    transactions::Tag,
};

/// A field of a record, as far as a privacy rule can change it.
#[derive(Debug)]
pub enum FieldMut<'f, 'a> {
    /// A text that cannot be null.
    Text(&'f mut Cow<'a, str>),
    /// A text that can be null.
    OptionalText(&'f mut Option<Cow<'a, str>>),
    /// Anything else that can be emptied: a nullable number or time, a closed vocabulary.
    Clearable(Clearable<'f>),
    /// Labels.
    Tags(&'f mut Vec<Tag<'a>>),
    /// A number, time or flag that cannot be null.
    Fixed,
}

/// A value that can go back to its empty state.
pub struct Clearable<'f>(&'f mut dyn Clear);

impl std::fmt::Debug for Clearable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clearable")
    }
}

impl Clearable<'_> {
    /// Puts the value back to null (or UNKNOWN).
    pub fn clear(self) {
        self.0.clear();
    }
}

trait Clear {
    fn clear(&mut self);
}

impl<T: Default> Clear for T {
    fn clear(&mut self) {
        *self = T::default();
    }
}

/// A type that a record's field may have.
pub trait Field<'a> {
    /// What a privacy rule can do to it.
    fn field_mut(&mut self) -> FieldMut<'_, 'a>;
}

impl<'a> Field<'a> for Cow<'a, str> {
    fn field_mut(&mut self) -> FieldMut<'_, 'a> {
        FieldMut::Text(self)
    }
}

impl<'a> Field<'a> for Option<Cow<'a, str>> {
    fn field_mut(&mut self) -> FieldMut<'_, 'a> {
        FieldMut::OptionalText(self)
    }
}

impl<'a> Field<'a> for Vec<Tag<'a>> {
    fn field_mut(&mut self) -> FieldMut<'_, 'a> {
        FieldMut::Tags(self)
    }
}

macro_rules! clearable {
    ($($type:ty),*) => {
        $(impl<'a> Field<'a> for $type {
            fn field_mut(&mut self) -> FieldMut<'_, 'a> {
                FieldMut::Clearable(Clearable(self))
            }
        })*
    };
}

macro_rules! fixed {
    ($($type:ty),*) => {
        $(impl<'a> Field<'a> for $type {
            fn field_mut(&mut self) -> FieldMut<'_, 'a> {
                FieldMut::Fixed
            }
        })*
    };
}

clearable!(
    Option<i64>,
    Option<i32>,
    Option<bool>,
    Option<Money>,
    Option<Rate>,
    Option<Timestamp>,
    Option<Day>
);
fixed!(i64, i32, bool, Money, Timestamp);

impl<'f> Clearable<'f> {
    /// A vocabulary, whose empty state is UNKNOWN.
    pub(crate) fn vocabulary<T: Default>(value: &'f mut T) -> Self {
        Self(value)
    }
}

/// The name behind a field's identifier: `type` for `r#type`.
pub(crate) const fn field_name(identifier: &'static str) -> &'static str {
    let bytes = identifier.as_bytes();
    if bytes.len() > 2 && bytes[0] == b'r' && bytes[1] == b'#' {
        identifier.split_at(2).1
    } else {
        identifier
    }
}

/// Defines a record: `record! { /// doc  Type = "AvroName" with meta { fields } }`.
macro_rules! record {
    (
        $(#[$doc:meta])*
        $type:ident = $name:literal with meta { $($(#[$field_doc:meta])* $field:ident: $field_type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(rename = $name)]
        pub struct $type<'a> {
            /// Identity, version and origin of the event.
            pub meta: EventMeta<'a>,
            $($(#[$field_doc])* pub $field: $field_type,)*
        }
        $crate::domain::fields::record!(@fields $type, $name, $($field,)*);
    };
    (
        $(#[$doc:meta])*
        $type:ident = $name:literal { $($(#[$field_doc:meta])* $field:ident: $field_type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(rename = $name)]
        pub struct $type<'a> {
            $($(#[$field_doc])* pub $field: $field_type,)*
        }
        $crate::domain::fields::record!(@fields $type, $name, $($field,)*);
    };
    (@fields $type:ident, $name:literal, $($field:ident,)*) => {
        impl<'a> $type<'a> {
            /// The record's name in its schema.
            pub const NAME: &'static str = $name;
            /// The fields in schema order, without `meta`.
            pub const FIELDS: &'static [&'static str] =
                &[$($crate::domain::fields::field_name(stringify!($field))),*];

            /// The field at a position of [`Self::FIELDS`], as far as a privacy rule can change it.
            pub fn field_mut(
                &mut self,
                position: usize,
            ) -> Option<$crate::domain::fields::FieldMut<'_, 'a>> {
                let mut next = 0;
                $(
                    if position == next {
                        return Some($crate::domain::fields::Field::field_mut(&mut self.$field));
                    }
                    next += 1;
                )*
                let _ = next;
                None
            }
        }
    };
}
pub(crate) use record;
