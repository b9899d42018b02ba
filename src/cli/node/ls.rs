//! `bitacora node ls`.

use clap::Args;
use serde::Serialize;

use super::{Context, nodes, write_items};
use crate::{
    control::NodeState,
    exit::Exit,
    report::{Format, table::Column, text::timestamp},
};

/// Lists the nodes that belong to the fleet
#[derive(Args)]
pub(in crate::cli) struct Ls {
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Serialize)]
struct NodeItem {
    id: String,
    name: String,
    availability: String,
    health: String,
    slots: u32,
    sparks: u32,
    paired_at: String,
}

impl Ls {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
        let item = |node: NodeState| NodeItem {
            id: node.id,
            name: node.name,
            availability: node.availability,
            health: node.health,
            slots: node.slots,
            sparks: node.sparks,
            paired_at: timestamp(node.paired_at),
        };
        let items: Vec<NodeItem> = nodes.into_iter().map(item).collect();
        let columns = [
            Column::Text("Name"),
            Column::Text("Id"),
            Column::Text("Health"),
            Column::Text("Availability"),
            Column::Number("Slots"),
            Column::Number("Sparks"),
            Column::Text("Paired"),
        ];
        let rows = items.iter().map(|item| {
            let words = [&item.name, &item.id, &item.health, &item.availability].map(Clone::clone);
            words.into_iter().chain([item.slots.to_string(), item.sparks.to_string(), item.paired_at.clone()]).collect()
        });
        write_items(context, self.output, "nodes", &items, &columns, rows.collect(), |item| &item.name)
    }
}
