//! What a region writes at once, knowing what it sees.

use std::collections::BTreeMap;

use crate::model::{Card, Item, Stock};
use crate::reader::Visible;
use crate::rng::Rng;
use crate::tables::{ADDED, CARD, EVENT, ITEM, STOCK};

/// Rows of one dataset: of each key what it becomes, or none where it is deleted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    pub(crate) items: BTreeMap<i64, Option<Item>>,
    pub(crate) stocks: BTreeMap<i64, Option<Stock>>,
    pub(crate) cards: BTreeMap<i64, Option<Card>>,
    /// Serials.
    pub(crate) events: Vec<i64>,
}

/// A batch on its way.
pub(crate) struct Batch {
    pub(crate) name: &'static str,
    pub(crate) delete: bool,
    /// As JSON, one a line.
    pub(crate) rows: String,
    pub(crate) changes: Changes,
}

/// Some batch of a writer that sees this; `wide` where items have the further column.
pub(crate) fn any(rng: &mut Rng, next_serial: &mut i64, seen: &Visible, wide: bool) -> Batch {
    let kinds = [
        (ITEM, false),
        (ITEM, false),
        (ITEM, true),
        (EVENT, false),
        (STOCK, false),
        (STOCK, false),
        (STOCK, true),
        (CARD, false),
        (CARD, false),
        (CARD, true),
    ];
    let (name, delete) = *rng.pick(&kinds);
    let mut changes = Changes::default();
    for _ in 0..1 + rng.index(5) {
        *next_serial += 1;
        let (serial, id) = (*next_serial, rng.below(12).cast_signed());
        match (name, delete) {
            (ITEM, true) => drop(changes.items.insert(id, None)),
            (ITEM, false) => drop(changes.items.insert(id, Some((serial, rng.below(1_000).cast_signed())))),
            // Most are never deleted, so that it is certain what they come to.
            (STOCK, true) => drop(changes.stocks.insert(9 + id % 3, None)),
            (STOCK, false) => {
                let added = rng.below(11).cast_signed() - 5;
                let count = seen.stocks.get(&id).map_or(0, |(_, count)| *count) + added;
                changes.stocks.insert(id, Some(Stock { serial, added, count }));
            }
            (CARD, true) => drop(changes.cards.insert(id, None)),
            (CARD, false) => {
                let mut card = Card { values: [serial; 2], changed: [true; 2] };
                if let Some(values) = seen.cards.get(&id) {
                    let kept = rng.index(3);
                    if kept < 2 {
                        (card.values[kept], card.changed[kept]) = (values[kept], false);
                    }
                }
                changes.cards.insert(id, Some(card));
            }
            _ => changes.events.push(serial),
        }
    }
    Batch { name, delete, rows: changes.rows(wide), changes }
}

impl Changes {
    fn rows(&self, wide: bool) -> String {
        let row = |id: &i64, values: Option<String>| format!("{{\"id\":{id}{}}}\n", values.unwrap_or_default());
        let item = |(id, item): (&i64, &Option<Item>)| {
            let again = |serial: i64| if wide { format!(",\"{ADDED}\":{serial}") } else { String::new() };
            row(id, item.map(|(serial, peak)| format!(",\"serial\":{serial},\"peak\":{peak}{}", again(serial))))
        };
        let stock = |(id, stock): (&i64, &Option<Stock>)| {
            row(id, stock.map(|stock| format!(",\"serial\":{},\"count\":{}", stock.serial, stock.count)))
        };
        let card = |(id, card): (&i64, &Option<Card>)| {
            row(id, card.map(|Card { values: [front, back], .. }| format!(",\"front\":{front},\"back\":{back}")))
        };
        let rows = self.items.iter().map(item).chain(self.stocks.iter().map(stock));
        let rows = rows.chain(self.cards.iter().map(card));
        rows.chain(self.events.iter().map(|serial| format!("{{\"serial\":{serial}}}\n"))).collect()
    }
}
