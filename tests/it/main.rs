//! Everything that users of the crate and of its events can rely on, real components included, as
//! one binary: one link, one broker, one registry.

#[cfg(test)]
mod arch;
#[cfg(test)]
mod avro;
#[cfg(test)]
mod chart;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod components;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod payments;
#[cfg(test)]
mod revision;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod stream;
