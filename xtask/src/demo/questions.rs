//! The questions: one that the whole world answers, two with plugins, one that may not be answered, one that is
//! answered in part.

use anyhow::{Context, Result};
use domicile_harness::{Answer, answer, data, questions};

use super::Demo;

/// Asks them in order.
pub(super) fn ask_all(demo: &mut Demo) -> Result<()> {
    revenue(demo)?;
    segments(demo)?;
    price_bands(demo)?;
    names_and_phones(demo)?;
    small_groups(demo)
}

fn revenue(demo: &mut Demo) -> Result<()> {
    demo.voice.heading("Revenue by month and product group, worldwide, asked in the USA");
    let answer = demo.ask("revenue", "us-east", &["query", questions::REVENUE])?;
    let expected = demo.voice.step("the same from the generator's rows, in integers", || {
        demo.generator.revenue(questions::REVENUE_BEFORE)
    })?;
    let equal = data::revenue_of_answer(&answer)? == expected;
    demo.voice.line(format_args!("  equal to the union of all regions: {}", if equal { "yes, exactly" } else { "no" }));
    demo.report.figure("revenue_equals_union", equal);
    demo.report.promise(equal, "revenue equals the one computed from all rows");
    Ok(())
}

fn segments(demo: &mut Demo) -> Result<()> {
    demo.voice.heading("Customers by recency, frequency and money: the rfm plugin, run where the customers are");
    let arguments = ["endpoint", "rfm", "as_of=1998-08-02"];
    let american = demo.ask("rfm_at_us_east", "us-east", &arguments)?;
    let european = demo.ask("rfm_at_eu_central", "eu-central", &arguments)?;
    demo.report.promise(alike(&american, &european)?, "the rfm endpoint answers alike at two edges");
    let customers = american.sum("entities")?;
    demo.voice.line(format_args!("  {customers} customers in {} segments, alike at both edges", american.rows().len()));
    demo.report.figure("rfm_customers", customers as u64);
    demo.report.promise(customers > 0.0, "the rfm endpoint counts customers");
    Ok(())
}

fn price_bands(demo: &mut Demo) -> Result<()> {
    demo.voice.heading("Functions of the pricing plugin inside SQL");
    let answer = demo.ask("price_bands", "us-east", &["query", questions::PRICE_BANDS])?;
    demo.report.promise(!answer.rows().is_empty(), "SQL may call the functions of a plugin");
    Ok(())
}

fn names_and_phones(demo: &mut Demo) -> Result<()> {
    demo.voice.heading("Names and phone numbers of German customers, asked in the USA");
    let ran = demo.cli("us-east", &["query", questions::GERMAN_CUSTOMERS])?;
    demo.report.promise(ran.code == 1, "a denied question ends with exit code 1");
    let problem = ran.document()?;
    let status = problem["status"].as_u64().unwrap_or_default();
    let text = |name: &str| answer::text(&problem[name]).unwrap_or_else(|| "–".to_owned());
    let columns: Vec<_> =
        problem["columns"].as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
    demo.voice.line(format_args!("  {status} {}\n  {}", text("title"), text("detail")));
    demo.voice.line(format_args!("  columns: {}\n  policy: {}", columns.join(", "), text("policy")));
    demo.report.figure("denied_status", status);
    demo.report.promise(status == 403, "names of European customers are denied with 403");
    demo.report.promise(columns.contains(&"customer.c_name"), "a denial names the columns");
    demo.report.document("denied", problem.clone());

    demo.voice.line("  The policy allows this instead:");
    let rewrite = problem["rewrite"].as_str().context("the denial names no allowed rewrite")?;
    let answer = demo.ask("denied_rewrite", "us-east", &["query", rewrite])?;
    demo.report.promise(!answer.rows().is_empty(), "the rewrite that a denial names is answered");
    Ok(())
}

fn small_groups(demo: &mut Demo) -> Result<()> {
    demo.voice.heading("A question so fine that some groups are only a few people");
    let sql = questions::fine_groups(demo.scale);
    demo.ask("fine_groups", "us-east", &["query", &sql])?;
    let suppressed = demo.report.suppressed_groups();
    demo.report.figure("suppressed_groups", suppressed);
    demo.report.promise(suppressed > 0, "groups below the threshold are suppressed, and said so");
    Ok(())
}

/// Whether two answers have the same rows, with sums of doubles equal but for the order of addition.
fn alike(a: &Answer, b: &Answer) -> Result<bool> {
    const RELATIVE: f64 = 1e-9;
    let close = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= RELATIVE * a.abs().max(b.abs()),
        _ => a == b,
    };
    let (mut a, mut b) = (a.cells(), b.cells());
    a.sort();
    b.sort();
    let cells = a.iter().flatten().zip(b.iter().flatten());
    let same_shape = a.iter().map(Vec::len).eq(b.iter().map(Vec::len));
    Ok(same_shape && cells.into_iter().all(|(a, b)| close(a.as_deref().unwrap_or(""), b.as_deref().unwrap_or(""))))
}
