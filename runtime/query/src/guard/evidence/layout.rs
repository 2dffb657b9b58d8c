//! What is kept of each entity of a group, and what becomes of it.

use super::column::Kind;

/// How the evidence of groups is computed. Its columns are the entity, those of the versions, and then the values'.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(in crate::guard) struct Layout {
    pub(in crate::guard) versions: Vec<VersionOf>,
    pub(in crate::guard) conditions: Vec<Condition>,
    pub(in crate::guard) sums: Vec<SumOf>,
    pub(in crate::guard) trails: Vec<TrailOf>,
    pub(in crate::guard) values: Vec<ValueOf>,
    /// Whether values come with what the largest contributor makes up.
    pub(in crate::guard) shared: bool,
    /// Whether groups of many entities are counted by places.
    pub(in crate::guard) by_places: bool,
}

impl Layout {
    /// Whether a sum is there as it is.
    fn needs_net(&self, sum: usize) -> bool {
        let weighs = |trail: &TrailOf| trail.weight == Some(WeightOf::Sum(sum));
        self.values.contains(&ValueOf::Sum(sum)) || self.trails.iter().any(weighs)
    }
}

/// Where the marks of rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) enum VersionOf {
    /// Each row's from the version in so many columns.
    Row { columns: usize },
    /// Sums of marks are a column.
    Marks,
}

impl VersionOf {
    pub(super) fn columns(self) -> usize {
        match self {
            Self::Row { columns } => columns,
            Self::Marks => 1,
        }
    }
}

/// Which rows count, by one of the values' columns: those that have something in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) struct Condition {
    pub(in crate::guard) column: usize,
    /// Zero is nothing either.
    pub(in crate::guard) not_zero: bool,
}

/// One of the values' columns, as it is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) struct SumOf {
    pub(in crate::guard) column: usize,
    pub(in crate::guard) number: Number,
}

/// Numbers that are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) enum Number {
    /// Exactly, with this many digits behind the point.
    Whole {
        scale: i8,
    },
    Float,
}

/// One trace of each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) struct TrailOf {
    /// Whose marks.
    pub(in crate::guard) version: usize,
    /// Which rows'; all where it is none.
    pub(in crate::guard) condition: Option<usize>,
    pub(in crate::guard) weight: Option<WeightOf>,
}

/// How much an entity contributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) enum WeightOf {
    /// The rows that count.
    Rows,
    /// What it has of this sum, with its sign.
    Sum(usize),
}

/// One value, or a column that values are computed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) enum ValueOf {
    /// How many rows there are; all where the condition is none.
    Rows {
        condition: Option<usize>,
        shared: bool,
    },
    Sum(usize),
    /// A sum without signs.
    Measure(usize),
}

impl ValueOf {
    /// Whether one contributor's share counts.
    pub(in crate::guard) fn is_shared(self, layout: &Layout) -> bool {
        layout.shared && !matches!(self, Self::Rows { shared: false, .. })
    }
}

/// Which column is what of an entity: first its rows; of each version the marks of all rows; of each condition how many rows
/// do not meet it, and of each version their marks; each sum without signs; and as it is, where a value is of it.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    versions: usize,
    conditions: usize,
    sums: Vec<Number>,
    /// Of each sum whether it is there as it is.
    nets: Vec<bool>,
    /// What one of each sum's last digits is worth.
    scales: Vec<f64>,
}

/// The column of rows.
pub(super) const ROWS: usize = 0;

impl Columns {
    pub(super) fn of(layout: &Layout) -> Self {
        let scale = |sum: &SumOf| match sum.number {
            Number::Whole { scale } => 10_f64.powi(-i32::from(scale)),
            Number::Float => 1.0,
        };
        Self {
            scales: layout.sums.iter().map(scale).collect(),
            versions: layout.versions.len(),
            conditions: layout.conditions.len(),
            sums: layout.sums.iter().map(|sum| sum.number).collect(),
            nets: (0..layout.sums.len()).map(|sum| layout.needs_net(sum)).collect(),
        }
    }

    pub(super) fn kinds(&self) -> Vec<Kind> {
        let nets = self.sums.iter().zip(&self.nets).filter(|(_, is_net)| **is_net);
        let nets = nets.map(|(number, _)| match number {
            Number::Whole { .. } => Kind::Wholes,
            Number::Float => Kind::Floats,
        });
        let gross = self.sums.iter().map(|_| Kind::Floats);
        std::iter::repeat_n(Kind::Words, self.gross(0)).chain(gross).chain(nets).collect()
    }

    pub(super) fn marks(&self, version: usize) -> usize {
        ROWS + 1 + version
    }

    /// How many rows do not meet the condition.
    pub(super) fn missing(&self, condition: usize) -> usize {
        self.marks(self.versions) + condition * (1 + self.versions)
    }

    /// The marks of these.
    pub(super) fn missing_marks(&self, condition: usize, version: usize) -> usize {
        self.missing(condition) + 1 + version
    }

    /// The sum without signs.
    pub(super) fn gross(&self, sum: usize) -> usize {
        self.missing(self.conditions) + sum
    }

    /// The sum as it is, where it is there.
    pub(super) fn net(&self, sum: usize) -> Option<usize> {
        let before = self.nets[..sum].iter().filter(|is_net| **is_net).count();
        self.nets[sum].then(|| self.gross(self.sums.len()) + before)
    }

    /// Whether the sum is of whole numbers, or of a decimal's digits.
    pub(super) fn is_whole(&self, sum: usize) -> bool {
        matches!(self.sums[sum], Number::Whole { .. })
    }

    /// What one of the sum's last digits is worth.
    pub(super) fn scale(&self, sum: usize) -> f64 {
        self.scales[sum]
    }
}
