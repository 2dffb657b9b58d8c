//! What is valid in policy files and probably not meant.

use std::collections::BTreeSet;

use domicile_config::Position;
use domicile_types::{DatasetName, KeyValue, Residency, is_slip_of, nearest};

use crate::{Date, DomainValue, PolicySet};

/// Something that holds as it stands, and that its writer may not have meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// A clause whose last day has gone by.
    #[error(
        "{at}: clause `{clause}` has admitted nothing since its last day, {expires}; remove it, or set a later day"
    )]
    Expired {
        /// Where the day stands.
        at: Position,
        /// The clause.
        clause: String,
        /// Its last day.
        expires: Date,
    },
    /// A function that SQL does not have, but for a slip of the pen.
    #[error(
        "{at}: clause `{clause}` admits `{function}`, which is no function of SQL here; did you mean `{nearest}`, or is a \
         plugin called so?"
    )]
    UnknownFunction {
        /// Where the functions are listed.
        at: Position,
        /// The clause.
        clause: String,
        /// The function.
        function: String,
        /// The function of SQL that is written most like it.
        nearest: String,
    },
    /// Listed values of the residency column that leave out some that have a home.
    #[error(
        "{at}: the values listed for `{column}` leave out {}, whose rows live in a region of this policy; answers grouped \
         by `{column}` hold these rows back", list(.missing)
    )]
    HomesMissing {
        /// Where the values stand.
        at: Position,
        /// The residency column.
        column: String,
        /// The values with a home that the list lacks.
        missing: Vec<KeyValue>,
    },
}

fn list(values: &[KeyValue]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl PolicySet {
    /// What the files may not have meant, on the day `today`, in the order of the datasets' names. `functions` are
    /// those of SQL, in small letters.
    pub fn notices(&self, today: Date, functions: &BTreeSet<String>) -> Vec<Notice> {
        let mut notices = Vec::new();
        for policy in self.policies() {
            let places = self.places(&policy.dataset).map_or(&[][..], |places| &places.clauses);
            for (clause, places) in policy.allow.iter().zip(places) {
                let id = || clause.id.clone();
                let expired = clause.expires.zip(places.expires.as_ref()).filter(|(last, _)| *last < today);
                let expired = expired.map(|(expires, at)| Notice::Expired { at: at.clone(), clause: id(), expires });
                let unknown = clause.functions.difference(functions);
                let unknown = unknown.filter_map(|function| {
                    let known = functions.iter().map(String::as_str);
                    Some((function, nearest(function, known).filter(|known| is_slip_of(function, known))?))
                });
                let at = || places.functions.as_ref().unwrap_or(&places.id).clone();
                let unknown = unknown.map(|(function, nearest)| Notice::UnknownFunction {
                    at: at(),
                    clause: id(),
                    function: function.clone(),
                    nearest: nearest.to_owned(),
                });
                notices.extend(expired.into_iter().chain(unknown));
            }
            notices.extend(self.homes_missing(&policy.dataset));
        }
        notices
    }

    fn homes_missing(&self, dataset: &DatasetName) -> Option<Notice> {
        let policy = self.policy(dataset)?;
        let Residency::Column { column, homes, .. } = &policy.residency else { return None };
        let listed = policy.domains.get(column)?;
        let missing: Vec<KeyValue> = homes.keys().filter(|value| !contains(listed, value)).cloned().collect();
        let at = self.places(dataset)?.domains.get(column)?.clone();
        (!missing.is_empty()).then(|| Notice::HomesMissing { at, column: column.clone(), missing })
    }
}

fn contains(listed: &BTreeSet<DomainValue>, value: &KeyValue) -> bool {
    listed.contains(&match value {
        KeyValue::Integer(number) => DomainValue::Integer(*number),
        KeyValue::Text(text) => DomainValue::Text(text.clone()),
    })
}
