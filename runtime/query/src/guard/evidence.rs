//! The evidence that the guard needs of each group, as one aggregate that the engine computes beside the others.

mod column;
mod figures;
mod kept;
mod layout;
mod rows;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, LargeListArray, StructArray, UInt32Array, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, UInt32Type, UInt64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};

use super::MarkKey;
use column::Kind;
use kept::{Kept, Taken};
use layout::Columns;
pub(super) use layout::{Condition, Layout, Number, SumOf, TrailOf, ValueOf, VersionOf, WeightOf};

/// The evidence of each group, as a struct of the columns that [`Layout`] tells of.
pub(super) fn evidence(key: MarkKey, layout: Layout, columns: Vec<Expr>) -> Expr {
    let signature = Signature::variadic_any(Volatility::Immutable);
    AggregateUDF::from(Evidence { key, layout: Arc::new(layout), signature }).call(columns)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Evidence {
    key: MarkKey,
    layout: Arc<Layout>,
    signature: Signature,
}

impl Evidence {
    fn groups(&self) -> Groups {
        Groups { key: self.key, layout: Arc::clone(&self.layout), kept: Kept::new(&self.layout) }
    }
}

impl AggregateUDFImpl for Evidence {
    fn name(&self) -> &'static str {
        "_evidence"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(figures::fields(&self.layout)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let places = Field::new(format!("{}[places]", args.name), DataType::UInt32, true);
        let entries = Field::new(format!("{}[entries]", args.name), DataType::LargeList(entry(&self.layout)), true);
        Ok(vec![Arc::new(places), Arc::new(entries)])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(self.groups()))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups()))
    }
}

/// Evidence as the engine drives it.
#[derive(Debug)]
struct Groups {
    key: MarkKey,
    layout: Arc<Layout>,
    kept: Kept,
}

impl Groups {
    fn emit(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.kept.emitted(emit_to);
        self.kept.settle();
        let figures = figures::figures(&self.kept, &self.layout, groups)?;
        self.kept.take(groups);
        Ok(Arc::new(figures))
    }

    /// The state of each group: how many entities were counted before places were, and a list of what is kept of each
    /// entity or place.
    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.kept.emitted(emit_to);
        self.kept.settle();
        let Taken { places, ends, entities, columns } = self.kept.take(groups);
        let entities: ArrayRef = Arc::new(UInt64Array::from(entities));
        let columns = std::iter::once(entities).chain(columns).collect();
        let entries = StructArray::try_new(fields(&self.layout), columns, None)?;
        let ends = OffsetBuffer::new(ends.into_iter().map(i64::from).collect());
        let entries = LargeListArray::try_new(entry(&self.layout), ends, Arc::new(entries), None)?;
        Ok(vec![Arc::new(UInt32Array::from(places)), Arc::new(entries)])
    }

    fn merge(&mut self, values: &[ArrayRef], groups: impl Iterator<Item = usize>) -> Result<()> {
        let no_state = || DataFusionError::Internal("the state of evidence is none".to_owned());
        let [places, entries] = values else { return Err(no_state()) };
        let places = places.as_primitive_opt::<UInt32Type>().ok_or_else(no_state)?;
        let lists = entries.as_list_opt::<i64>().ok_or_else(no_state)?;
        let entries = lists.values().as_struct_opt().ok_or_else(no_state)?;
        let (entities, columns) = entries.columns().split_first().ok_or_else(no_state)?;
        let entities = entities.as_primitive_opt::<UInt64Type>().ok_or_else(no_state)?.values();
        for ((row, group), ends) in groups.enumerate().zip(lists.offsets().windows(2)) {
            if places.is_valid(row) {
                self.kept.count_places(group, places.value(row));
            }
            let (from, to) = (ends[0] as usize, ends[1] as usize);
            self.kept.extend(group, &entities[from..to], columns, from)?;
        }
        self.kept.settle_if_full();
        Ok(())
    }
}

/// What the state has of each entity or place: its number, and what is kept of it.
fn fields(layout: &Layout) -> Fields {
    let kinds = Columns::of(layout).kinds().into_iter().map(Kind::data_type);
    let kinds = std::iter::once(DataType::UInt64).chain(kinds);
    kinds.enumerate().map(|(at, kind)| Field::new(format!("{at}"), kind, false)).collect()
}

fn entry(layout: &Layout) -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields(layout)), false))
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.kept.resize(total_num_groups);
        let Some(mask) = opt_filter else {
            return rows::add(&mut self.kept, &self.layout, self.key, values, group_indices);
        };
        let values = values.iter().map(|column| Ok(filter(column, mask)?)).collect::<Result<Vec<_>>>()?;
        let groups = group_indices.iter().zip(mask).filter(|(_, counts)| *counts == Some(true));
        let groups: Vec<usize> = groups.map(|(group, _)| *group).collect();
        rows::add(&mut self.kept, &self.layout, self.key, &values, &groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.emit(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Self::state(self, emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.kept.resize(total_num_groups);
        self.merge(values, group_indices.iter().copied())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let mut alone = Self { key: self.key, layout: Arc::clone(&self.layout), kept: Kept::new(&self.layout) };
        let groups: Vec<usize> = (0..rows).collect();
        GroupsAccumulator::update_batch(&mut alone, values, &groups, opt_filter, rows)?;
        Self::state(&mut alone, EmitTo::All)
    }

    fn size(&self) -> usize {
        self.kept.bytes()
    }
}

impl Accumulator for Groups {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |column| column.len());
        GroupsAccumulator::update_batch(self, values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.kept.resize(1);
        ScalarValue::try_from_array(&self.emit(EmitTo::All)?, 0)
    }

    fn size(&self) -> usize {
        self.kept.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.kept.resize(1);
        Self::state(self, EmitTo::All)?.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.kept.resize(1);
        let rows = states.first().map_or(0, |column| column.len());
        self.merge(states, std::iter::repeat_n(0, rows))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
