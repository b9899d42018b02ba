//! The devices that people command the fleet with, and what can be done to one.

use bitacora_core::{
    fleet::{OperatorCommand, Right},
    ids::NodeId,
    time::Time,
};
use serde::{Deserialize, Serialize};

/// [`OperatorCommand`] as it is spoken on the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorWish {
    Remove,
    SetRight(Right),
}

impl From<OperatorWish> for OperatorCommand {
    fn from(wish: OperatorWish) -> OperatorCommand {
        match wish {
            OperatorWish::Remove => OperatorCommand::Remove,
            OperatorWish::SetRight(right) => OperatorCommand::SetRight(right),
        }
    }
}

/// A device that a person commands the fleet with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorState {
    pub id: NodeId,
    pub name: String,
    pub right: Right,
    /// In its certificate.
    pub permitted: Right,
    pub paired_at: Time,
}
