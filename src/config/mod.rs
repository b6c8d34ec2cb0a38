//! From YAML and environment to validated settings.
//!
//! The way of a key: [`tree`] keeps every value as the text that was written, with its place;
//! [`env`] lays the environment over it; [`shape`] gives it a form, where unknown keys and wrong
//! types are refused; [`validate`] turns the form into [`model`], the only types that the rest of
//! the program sees. Apart from reading the one file in [`load`], nothing here touches the world.

pub(crate) mod de;
pub mod duration;
pub(crate) mod env;
mod error;
mod load;
pub mod model;
pub(crate) mod properties;
pub mod redact;
pub mod schema;
pub mod shape;
pub(crate) mod tree;
pub(crate) mod validate;

pub use error::{Error, Problem};
pub(crate) use load::nearest;
pub use load::{DEFAULT_PATH, Loaded, environment, load, parse};
pub use properties::Property;
