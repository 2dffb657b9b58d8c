//! `cargo xtask demo`: everything that the README promises, shown on this machine and checked.

mod audit;
mod load;
mod outage;
mod prepare;
mod questions;
mod report;

use anyhow::{Result, bail};
use domicile_harness::data::Generator;
use domicile_harness::workspace::{self, REGIONS};
use domicile_harness::{Answer, Cluster, Ran};

use crate::voice::Voice;
use crate::{DemoArguments, stop};
use report::Report;

/// The demo while it runs.
struct Demo {
    voice: Voice,
    cluster: Cluster,
    generator: Generator,
    scale: f64,
    report: Report,
}

/// Runs the demo.
///
/// # Errors
/// Where something is not as promised, after everything was shown.
pub(crate) fn run(arguments: &DemoArguments, voice: Voice) -> Result<()> {
    let mut report = Report::new(arguments.scale);
    let built = prepare::build(&voice, arguments.profile)?;
    report.figure("seconds_building", voice.elapsed().as_secs_f64().round());
    let cluster = prepare::start(&voice, &built)?;
    let generator = Generator::new(&built.binaries.tpch, arguments.scale);
    let mut demo = Demo { voice, cluster, generator, scale: arguments.scale, report };
    load::everything(&mut demo)?;
    load::refused(&mut demo)?;
    load::plugins(&mut demo, &built.plugins)?;
    questions::ask_all(&mut demo)?;
    audit::verify_all(&mut demo)?;
    outage::one_region_stopped(&mut demo, arguments.keep)?;
    demo.finish(arguments)
}

impl Demo {
    /// Runs a verb at the edge of a region and shows the command; what it prints is for people.
    fn cli_text(&self, region: &str, arguments: &[&str]) -> Result<Ran> {
        self.voice.command(&self.cluster.file(region).url, arguments);
        self.cluster.cli(region).run(arguments)
    }

    /// Runs a verb at the edge of a region, shows the command, and takes what it prints as JSON.
    fn cli(&self, region: &str, arguments: &[&str]) -> Result<Ran> {
        self.voice.command(&self.cluster.file(region).url, arguments);
        self.cluster.cli(region).json(arguments)
    }

    /// Asks for an answer at the edge of a region, shows it, and keeps it for the report under `name`.
    fn ask(&mut self, name: &str, region: &str, arguments: &[&str]) -> Result<Answer> {
        let answer = self.cli(region, arguments)?.answer()?;
        self.voice.answer(&answer);
        self.voice.line(format_args!("  {}", facts(region, &answer)));
        if self.report.answer(name, &answer) {
            self.report.figure("seconds_to_first_answer", round_to_tenth(self.voice.elapsed().as_secs_f64()));
        }
        Ok(answer)
    }

    fn finish(mut self, arguments: &DemoArguments) -> Result<()> {
        self.report.figure("seconds", round_to_tenth(self.voice.elapsed().as_secs_f64()));
        if arguments.keep {
            self.leave_running()?;
        } else {
            for region in REGIONS {
                let stopped = self.cluster.stop(region);
                self.report.promise(stopped.is_ok(), "every region drains and ends on SIGTERM");
            }
        }
        self.report.show(&self.voice);
        let broken = self.report.broken();
        if arguments.json {
            println!("{}", self.report.into_json());
        }
        if broken > 0 {
            bail!("the demo did not go as promised in {broken} places; they are listed above");
        }
        Ok(())
    }

    fn leave_running(&mut self) -> Result<()> {
        let urls = REGIONS.map(|region| self.cluster.file(region).url.clone());
        let binary = workspace::shown(self.cluster.binary());
        stop::note(&self.cluster.keep()?)?;
        self.voice.heading("The regions go on running");
        self.voice.line(format_args!(
            "  {}\n\n  Try next:\n    \
             export DOMICILE_EDGE={}\n    \
             {binary} query \"SELECT c_mktsegment, count(*) AS customers FROM customer GROUP BY 1\"\n    \
             {binary} endpoint rfm as_of=1997-01-01\n    \
             {binary} audit show\n    \
             curl -s $DOMICILE_EDGE/v1/regions\n  \
             `cargo xtask stop` ends them.",
            urls.join("  "),
            urls[1],
        ));
        Ok(())
    }
}

fn facts(region: &str, answer: &Answer) -> String {
    let suppressed: u64 = answer.suppressed_groups().values().sum();
    let suppressed = match suppressed {
        0 => String::new(),
        count => format!("; {count} groups suppressed at their source"),
    };
    let missing = match answer.missing().join(", ") {
        missing if missing.is_empty() => String::new(),
        missing => format!("; missing: {missing}"),
    };
    let (rows, bytes) = (answer.rows().len(), crate::voice::grouped(answer.border_bytes()));
    format!("{rows} rows from the {region} edge; {bytes} bytes crossed a border{suppressed}{missing}")
}

fn round_to_tenth(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}
