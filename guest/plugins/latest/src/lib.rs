//! Resolves conflicts between versions of a row that regions wrote without knowing of each other.
//!
//! | column | type | what holds |
//! |---|---|---|
//! | `quantity` | bigint | the largest quantity of any version; null where no version has one |
//! | `tags` | text | every tag of any version; null where no version has tags |
//! | `note` | text | the note that was written last and is not null; null where there is none |
//!
//! `tags` is a set: tags are separated by commas, white space around them does not count, nor do empty ones. The answer has
//! each tag once, in the order of their bytes, separated by one comma. A version whose tags are an empty text has the
//! empty set, which is not null.
//!
//! Versions come ordered by when they were written, then by the name of the region, so that "last" is the same
//! everywhere.

use std::collections::BTreeSet;

use domicile_sdk::{Merge, Row, Version};

#[derive(Row, Debug, Clone, PartialEq)]
struct Item {
    quantity: Option<i64>,
    tags: Option<String>,
    note: Option<String>,
}

struct Latest;

#[domicile_sdk::merge]
impl Merge for Latest {
    type Row = Item;

    fn resolve(versions: &[Version<Item>]) -> Result<Item, String> {
        let items = || versions.iter().map(|version| &version.row);
        let tags: Option<BTreeSet<&str>> =
            items().filter_map(|item| item.tags.as_deref()).map(split).reduce(|all, tags| &all | &tags);
        Ok(Item {
            quantity: items().filter_map(|item| item.quantity).max(),
            tags: tags.map(|tags| Vec::from_iter(tags).join(",")),
            note: items().rev().find_map(|item| item.note.clone()),
        })
    }
}

fn split(tags: &str) -> BTreeSet<&str> {
    tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(written_at: u64, quantity: Option<i64>, tags: Option<&str>, note: Option<&str>) -> Version<Item> {
        let row = Item { quantity, tags: tags.map(str::to_owned), note: note.map(str::to_owned) };
        Version { written_at, origin: "us-east".to_owned(), row }
    }

    #[test]
    fn each_column_has_its_own_rule() {
        let versions = [
            version(1, Some(7), Some("new, red"), Some("first")),
            version(2, Some(3), Some("red,old,,"), Some("second")),
            version(3, None, None, None),
        ];
        let expect = version(0, Some(7), Some("new,old,red"), Some("second")).row;
        assert_eq!(Latest::resolve(&versions), Ok(expect));
    }

    #[test]
    fn nothing_is_not_the_empty_set() {
        let nothing = version(1, None, None, None);
        assert_eq!(Latest::resolve(&[nothing.clone(), nothing.clone()]), Ok(nothing.row.clone()));
        let empty = version(2, None, Some(" "), None);
        assert_eq!(Latest::resolve(&[nothing, empty]).map(|item| item.tags), Ok(Some(String::new())));
    }
}
