//! Calibration of `kvquant`: what its artefact holds, how it is made from a model's own keys and values, and what is
//! checked before a cell may use one.
//!
//! An artefact is a JSON file named by the sha256 of its bytes: it belongs to one model, one number of bits and one
//! sparsity. Refused: an artefact fitted on the fly at the first prompt (two samples of a cell would be coded
//! differently), and one that is looked up by path alone.

mod artefact;
mod bounds;
mod cell;
mod lloyd;
mod run;

pub use artefact::{Artefact, KeyTables, Norm, Tables, ValueTables, Weighting};
pub use bounds::{calibrate_layer, percentile};
pub use cell::of_cell;
pub use lloyd::{lloyd, norm};
pub use run::{calibrate, settings, Settings};
