//! Plugin aggregates in SQL: as they are where all rows are at hand, and taken apart where they are not, into states
//! that each region makes and a merge where these meet.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Signature, Volatility,
};
use domicile_sandbox::{FunctionKind, Interface, Plugin};
use domicile_types::Digest;

use crate::groups::{PluginGroups, PluginTotal};
use crate::plugins::PluginSet;

/// What the names of functions that make states end in; no plugin's own function may.
pub(crate) const STATE_SUFFIX: &str = "__state";
/// What the names of functions that merge states end in; no plugin's own function may.
pub(crate) const MERGE_SUFFIX: &str = "__merge";

/// Which part of an aggregate a function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// From rows to answers.
    Whole,
    /// From rows to states.
    State,
    /// From states to answers.
    Merge,
}

impl Stage {
    fn suffix(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::State => STATE_SUFFIX,
            Self::Merge => MERGE_SUFFIX,
        }
    }
}

/// An aggregate of a plugin, or one part of it.
#[derive(Debug)]
pub(crate) struct PluginAggregate {
    plugin: Arc<Plugin>,
    function: usize,
    stage: Stage,
    /// The aggregate's name in SQL, whichever part of it this is.
    base: String,
    name: String,
    /// Types of the aggregate's own arguments.
    arguments: Vec<DataType>,
    /// Type of the aggregate's own answer.
    answers: DataType,
    signature: Signature,
}

/// The aggregates of every active plugin, in the given form.
pub(crate) fn aggregates(plugins: &PluginSet, stage: Stage) -> Vec<AggregateUDF> {
    let mut aggregates = Vec::new();
    for plugin in plugins.active() {
        let Interface::Functions(signatures) = plugin.interface() else { continue };
        for (function, signature) in signatures.iter().enumerate() {
            if signature.kind == FunctionKind::Aggregate {
                let arguments = signature.arguments.iter().map(|argument| argument.kind.arrow_type()).collect();
                let answers = signature.returns.arrow_type();
                let base = signature.name.clone();
                aggregates.push(PluginAggregate::new(plugin, function, stage, base, arguments, answers).into());
            }
        }
    }
    aggregates
}

/// The plugin aggregate that an expression calls, if it calls one.
pub(crate) fn plugin_aggregate(function: &AggregateFunction) -> Option<&PluginAggregate> {
    of(&function.func)
}

/// The plugin aggregate that a function is, if it is one.
pub(crate) fn of(function: &AggregateUDF) -> Option<&PluginAggregate> {
    function.inner().downcast_ref()
}

impl PluginAggregate {
    fn new(
        plugin: &Arc<Plugin>,
        function: usize,
        stage: Stage,
        base: String,
        arguments: Vec<DataType>,
        answers: DataType,
    ) -> Self {
        let name = format!("{base}{}", stage.suffix());
        let taken = if stage == Stage::Merge { vec![DataType::Binary] } else { arguments.clone() };
        let signature = Signature::exact(taken, Volatility::Immutable);
        Self { plugin: Arc::clone(plugin), function, stage, base, name, arguments, answers, signature }
    }

    /// The aggregate's name in SQL, whichever part of it this is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The digest of the code.
    pub(crate) fn digest(&self) -> Digest {
        self.plugin.id().digest
    }

    /// Whether rows go in, so that a region can compute it from its own.
    pub(crate) fn takes_rows(&self) -> bool {
        self.stage != Stage::Merge
    }

    /// The part of the aggregate that makes states, called as `call` calls the whole.
    pub(crate) fn state_of(&self, call: &AggregateFunction) -> Expr {
        Expr::AggregateFunction(AggregateFunction { func: self.part(Stage::State), params: call.params.clone() })
    }

    /// The part of the aggregate that makes answers of `states`.
    pub(crate) fn merge_of(&self, states: Expr) -> Expr {
        self.part(Stage::Merge).call(vec![states])
    }

    fn part(&self, stage: Stage) -> Arc<AggregateUDF> {
        let (base, arguments) = (self.base.clone(), self.arguments.clone());
        let part = Self::new(&self.plugin, self.function, stage, base, arguments, self.answers.clone());
        Arc::new(AggregateUDF::from(part))
    }

    fn groups(&self) -> PluginGroups {
        PluginGroups::new(&self.plugin, self.function, self.stage, self.arguments.clone(), self.answers.clone())
    }
}

impl PartialEq for PluginAggregate {
    fn eq(&self, other: &Self) -> bool {
        self.plugin.id() == other.plugin.id() && self.function == other.function && self.stage == other.stage
    }
}

impl Eq for PluginAggregate {}

impl std::hash::Hash for PluginAggregate {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.plugin.id().digest.hash(state);
        self.function.hash(state);
        self.stage.hash(state);
    }
}

impl AggregateUDFImpl for PluginAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(if self.stage == Stage::State { DataType::Binary } else { self.answers.clone() })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DataFusionResult<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", args.name), DataType::Binary, true))])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        Ok(Box::new(PluginTotal::new(self.groups())))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups()))
    }
}
