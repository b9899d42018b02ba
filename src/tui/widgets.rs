//! Pieces that screens are made of. They know text and places, and nothing of fleets.

pub mod paint;
pub mod spark;
pub mod table;
