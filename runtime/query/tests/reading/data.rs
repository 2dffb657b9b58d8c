//! Datasets that are divided in every way, and random rows for them.

use domicile_types::{Column, ColumnType, Dataset, Every, Lifecycle, Partitioning, TimePartition, ValuePartition};
use serde_json::{Value, json};

/// A source of numbers that look random: the same for the same seed.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn sometimes(&mut self, value: Value) -> Value {
        if self.below(8) == 0 { Value::Null } else { value }
    }

    fn of(&mut self, texts: &[&str]) -> Value {
        json!(texts[self.below(texts.len() as u64) as usize])
    }

    fn quarters(&mut self, end: u64) -> Value {
        json!(self.below(end) as f64 / 4.0 - 20.0)
    }

    fn date(&mut self, months: u64) -> Value {
        let (month, day) = (self.below(months), self.below(28) + 1);
        json!(format!("{}-{:02}-{day:02}", 2023 + month / 12, month % 12 + 1))
    }
}

pub(crate) fn dataset(name: &str, columns: &[(&str, ColumnType, bool)], key: &[&str]) -> Dataset {
    let columns = columns.iter().map(|(name, kind, nullable)| Column {
        name: (*name).to_owned(),
        kind: *kind,
        nullable: *nullable,
    });
    let key = key.iter().map(|key| (*key).to_owned()).collect();
    Dataset::new(name.parse().unwrap(), columns.collect(), key).unwrap()
}

pub(crate) fn divided(dataset: Dataset, time: Option<(&str, Every)>, by: &[(&str, Option<u32>)]) -> Dataset {
    let time = time.map(|(column, every)| TimePartition { column: column.to_owned(), every });
    let by = by.iter().map(|(column, buckets)| ValuePartition { column: (*column).to_owned(), buckets: *buckets });
    dataset.divided(Partitioning { time, by: by.collect() }, Lifecycle::default()).unwrap()
}

/// Rows move between partitions; there are dozens of those.
pub(crate) fn accounts() -> Dataset {
    use ColumnType::{BigInt, Boolean, Date, Decimal, Double, Integer, Text};
    let columns = [
        ("id", BigInt, false),
        ("area", Text, true),
        ("born", Date, true),
        ("balance", Decimal { precision: 12, scale: 2 }, true),
        ("score", Double, true),
        ("active", Boolean, true),
        ("name", Text, false),
        ("n", Integer, true),
    ];
    divided(dataset("accounts", &columns, &["id"]), Some(("born", Every::Quarter)), &[("area", None)])
}

/// Rows without a key.
pub(crate) fn events() -> Dataset {
    use ColumnType::{Boolean, Date, Decimal, Integer, Text};
    let columns = [
        ("at", Date, false),
        ("kind", Text, true),
        ("flag", Boolean, true),
        ("amount", Decimal { precision: 10, scale: 2 }, false),
        ("level", Integer, false),
    ];
    divided(dataset("events", &columns, &[]), Some(("at", Every::Month)), &[("flag", None), ("level", None)])
}

/// A key of two columns, which also divide.
pub(crate) fn pairs() -> Dataset {
    use ColumnType::{BigInt, Integer, Text};
    let columns = [("a", Integer, false), ("b", Text, false), ("v", BigInt, true)];
    divided(dataset("pairs", &columns, &["a", "b"]), None, &[("b", Some(3)), ("a", None)])
}

/// One partition only.
pub(crate) fn whole() -> Dataset {
    use ColumnType::{Integer, Text};
    dataset("whole", &[("k", Text, false), ("w", Integer, false)], &["k"])
}

pub(crate) fn datasets() -> Vec<Dataset> {
    vec![accounts(), events(), pairs(), whole()]
}

pub(crate) fn row(dataset: &str, chance: &mut Chance) -> Value {
    match dataset {
        "accounts" => {
            let area = chance.of(&["north", "south", "east", "West", ""]);
            let (born, balance, score) = (chance.date(18), chance.quarters(400), chance.quarters(80));
            let active = json!(chance.below(2) == 0);
            let (name, n) = (chance.of(&["Ada", "Bob", "Carl", "Dörte", "Eve%", "f_x"]), json!(chance.below(50)));
            json!({
                "id": chance.below(220), "area": chance.sometimes(area), "born": chance.sometimes(born),
                "balance": chance.sometimes(balance), "score": chance.sometimes(score),
                "active": chance.sometimes(active), "name": name, "n": chance.sometimes(n),
            })
        }
        "events" => {
            let (kind, flag) = (chance.of(&["open", "close"]), json!(chance.below(2) == 0));
            json!({
                "at": chance.date(5), "kind": chance.sometimes(kind), "flag": chance.sometimes(flag),
                "amount": chance.quarters(100), "level": chance.below(3),
            })
        }
        "pairs" => {
            let v = json!(chance.below(1000));
            let b = chance.of(&["p", "q", "r", "s", "longer than the others", ""]);
            json!({"a": chance.below(6), "b": b, "v": chance.sometimes(v)})
        }
        _ => json!({"k": format!("key {}", chance.below(90)), "w": chance.below(1000)}),
    }
}

/// The key of a row.
pub(crate) fn key(dataset: &Dataset, row: &Value) -> Value {
    dataset.primary_key.iter().map(|name| (name.clone(), row[name].clone())).collect()
}
