//! The devices that people command the fleet with, and what can be done to one.

use bitacora_core::{
    fleet::{OperatorCommand, Right},
    ids::{NodeId, ProjectId},
    time::Time,
};
use serde::{Deserialize, Serialize};

/// [`OperatorCommand`] as it is spoken on the socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorWish {
    Remove,
    SetRight {
        right: Right,
        /// `None` leaves them as they are.
        projects: Option<Vec<ProjectId>>,
    },
}

impl From<OperatorWish> for OperatorCommand {
    fn from(wish: OperatorWish) -> OperatorCommand {
        match wish {
            OperatorWish::Remove => OperatorCommand::Remove,
            OperatorWish::SetRight { right, projects } => OperatorCommand::SetRight { right, projects },
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
    /// The names of those that it is about alone; empty for everything.
    #[serde(default)]
    pub projects: Vec<String>,
    pub paired_at: Time,
}
