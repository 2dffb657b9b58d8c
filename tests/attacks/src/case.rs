//! What a data file says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace;
use serde::Deserialize;
use toml::Value;

use crate::world::World;

/// A file of `cases/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    world: Vec<World>,
    #[serde(default)]
    attack: Vec<Attack>,
}

/// All data files.
#[derive(Debug)]
pub struct Corpus {
    /// By name.
    pub worlds: BTreeMap<String, World>,
    /// In the order of the files.
    pub attacks: Vec<Attack>,
}

/// One attack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// The name of its file; not in the file.
    #[serde(default)]
    pub family: String,
    /// What the attacker tries, unique in its family.
    pub name: String,
    /// The world it runs in.
    pub world: String,
    /// What the attacker concludes, compared between the worlds.
    pub infer: Option<String>,
    /// A condition that holds where the attacker got what nobody may get.
    pub obtain: Option<String>,
    /// Whether all that comes back has to be the same in both worlds.
    #[serde(default)]
    pub indistinguishable: bool,
    /// Whether what comes back has noise. Then the nearer one of two secrets is a matter of chance, and it is a leak where
    /// what is concluded is the secret itself.
    #[serde(default)]
    pub noised: bool,
    /// Whether it changes rows, and so needs datasets of its own.
    #[serde(default)]
    pub fresh: bool,
    /// Whether it needs the plugins of [`crate::plugins`] deployed.
    #[serde(default)]
    pub plugins: bool,
    /// The purpose that is stated; `guarded` where nothing is said.
    pub purpose: Option<String>,
    /// The guard that is switched off in the control, or how else the control differs.
    pub control: Control,
    /// What the attacker does, by name, in order.
    pub step: toml::Table,
}

/// How the control differs from the attack.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Control {
    /// It states another purpose.
    Purpose(String),
    /// It does something else.
    Other(Box<Honest>),
}

/// The control of an attack whose guard cannot be switched off: who may get it, does.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Honest {
    /// The purpose that is stated; `guarded` where nothing is said.
    pub purpose: Option<String>,
    /// Steps in the place of those of the same name, and further ones behind.
    #[serde(default)]
    pub step: toml::Table,
    /// Another conclusion or condition.
    pub infer: Option<String>,
    /// Another condition.
    pub obtain: Option<String>,
}

/// One thing that the attacker does. Texts may hold `{t}` for the dataset, and `{step:expression}` for what an
/// expression makes of the steps before.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The edge; `us-east` where nothing is said.
    pub at: Option<String>,
    /// Who asks: arguments of `domicile token new`; `nobody`, who has no token; or `operator`, who may do everything
    /// and stands at the edge. Where nothing is said, an analyst in the United States, or for rows an operator.
    pub client: Option<String>,
    /// Another token than that of the client, for which `{token}` stands in it.
    pub token: Option<String>,
    /// A question.
    pub sql: Option<String>,
    /// Another purpose than the attack's; an empty one is not stated at all.
    pub purpose: Option<String>,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Path of a request that is no question.
    pub path: Option<String>,
    /// Its method; `GET` where nothing is said.
    pub method: Option<String>,
    /// Its body; or rows, as CSV without a header, that are stored or deleted.
    pub body: Option<String>,
    /// The body in world B, where it is another one.
    pub body_b: Option<String>,
    /// Stores the rows of the body in this dataset.
    pub store: Option<String>,
    /// Deletes the rows of the body, which holds keys, from this dataset.
    pub delete: Option<String>,
    /// A fragment, as a region that was taken over asks for it.
    pub fragment: Option<Forged>,
}

/// A fragment forged with the secret of a region.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forged {
    /// The region whose secret signs; `us-east` where nothing is said.
    pub from: Option<String>,
    /// The region that it is signed for; `eu-central` where nothing is said.
    pub to: Option<String>,
    /// The region that it is sent to, where that is another one.
    pub sent_to: Option<String>,
    /// Headers that are changed after the request was signed.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Members of the request that differ from an honest one.
    #[serde(default)]
    pub with: toml::Table,
    /// Members that are changed after the request was signed.
    #[serde(default)]
    pub later: toml::Table,
}

impl Corpus {
    /// Reads every file of `cases/`.
    ///
    /// # Errors
    /// Where one is not as [`crate`] says.
    pub fn read() -> Result<Self> {
        let dir = workspace::root().join("tests/attacks/cases");
        let mut files = fs::read_dir(&dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        let mut corpus = Self { worlds: BTreeMap::new(), attacks: Vec::new() };
        for file in files {
            corpus.add(&file).with_context(|| workspace::shown(&file))?;
        }
        for attack in &corpus.attacks {
            corpus.check(attack).with_context(|| format!("{}: {}", attack.family, attack.name))?;
        }
        Ok(corpus)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let file: File = toml::from_str(&fs::read_to_string(path)?)?;
        let family = path.file_stem().and_then(|stem| stem.to_str()).context("a file without a name")?;
        for world in file.world {
            let name = world.name.clone();
            ensure!(self.worlds.insert(name.clone(), world).is_none(), "there are two worlds `{name}`");
        }
        for attack in file.attack {
            let twice = self.attacks.iter().any(|other| other.family == family && other.name == attack.name);
            ensure!(!twice, "there are two attacks `{}`", attack.name);
            self.attacks.push(Attack { family: family.to_owned(), ..attack });
        }
        Ok(())
    }

    fn check(&self, attack: &Attack) -> Result<()> {
        ensure!(self.worlds.contains_key(&attack.world), "there is no world `{}`", attack.world);
        ensure!(attack.infer.is_some() != attack.obtain.is_some(), "it needs either `infer` or `obtain`");
        ensure!(!attack.indistinguishable || attack.infer.is_some(), "`indistinguishable` needs two worlds");
        attack.variant(false).steps()?;
        attack.variant(true).steps()?;
        Ok(())
    }
}

/// An attack as it is run: guarded, or as its control.
#[derive(Debug)]
pub struct Variant<'a> {
    /// The purpose stated.
    pub purpose: &'a str,
    step: toml::Table,
    /// What is concluded.
    pub infer: Option<&'a str>,
    /// The condition.
    pub obtain: Option<&'a str>,
}

impl Attack {
    /// The attack itself, or its control.
    pub fn variant(&self, control: bool) -> Variant<'_> {
        let purpose = self.purpose.as_deref().unwrap_or("guarded");
        let (infer, obtain) = (self.infer.as_deref(), self.obtain.as_deref());
        let own = Variant { purpose, step: self.step.clone(), infer, obtain };
        match &self.control {
            _ if !control => own,
            Control::Purpose(purpose) => Variant { purpose, ..own },
            Control::Other(honest) => {
                let mut step = self.step.clone();
                step.extend(honest.step.clone());
                Variant {
                    purpose: honest.purpose.as_deref().unwrap_or(purpose),
                    step,
                    infer: honest.infer.as_deref().or(infer),
                    obtain: honest.obtain.as_deref().or(obtain),
                }
            }
        }
    }
}

impl Variant<'_> {
    /// The steps in order.
    ///
    /// # Errors
    /// Where one is neither a text nor a table of [`Step`].
    pub fn steps(&self) -> Result<Vec<(String, Step)>> {
        let step = |value: &Value| match value {
            Value::String(sql) => Ok(Step { sql: Some(sql.clone()), ..Step::default() }),
            other => other.clone().try_into::<Step>(),
        };
        let named = |(name, value): (&String, &Value)| {
            Ok((name.clone(), step(value).with_context(|| format!("step `{name}`"))?))
        };
        self.step.iter().map(named).collect()
    }
}
