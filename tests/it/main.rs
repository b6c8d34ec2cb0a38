<<<<<<< HEAD
//! Everything that runs against real components, as one binary: one link, one broker, one registry.

#[cfg(test)]
mod arch;
#[cfg(test)]
mod components;
#[cfg(test)]
mod harness;
=======
//! Integration tests: what users of the crate and of its events can rely on.

mod avro;
mod golden;
mod schemas;
>>>>>>> mapping
