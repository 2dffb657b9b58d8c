//! The ledgers: every crossing has a receipt, the chain holds, and the bytes agree with those on the wire.

use anyhow::Result;
use domicile_harness::workspace::REGIONS;

use super::Demo;
use crate::voice::grouped;

/// Verifies the ledger of each region and compares bytes.
pub(super) fn verify_all(demo: &mut Demo) -> Result<()> {
    demo.voice.heading("Receipts: every crossing, signed and chained by the region that the data left");
    let mut receipts = 0;
    for region in REGIONS {
        let ran = demo.cli_text(region, &["audit", "verify"])?;
        demo.report.promise(ran.code == 0, "the ledger of every region verifies");
        if ran.code == 0 {
            receipts += demo.cluster.edge(region).ledger()?.len() as u64;
        }
        ran.stdout.lines().chain(ran.stderr.lines()).for_each(|line| demo.voice.line(format_args!("  {line}")));
    }
    demo.report.figure("receipts_verified", receipts);
    demo.report.promise(receipts > 0, "crossings leave receipts");
    let ledger = ledger_bytes(demo, &REGIONS)?;
    record_bytes(demo, ledger);
    Ok(())
}

/// Compares the bytes in the ledgers with those that the asking edges counted, and keeps both for the report.
pub(super) fn record_bytes(demo: &mut Demo, ledger: u64) {
    let wire = demo.report.border_bytes_wire();
    demo.voice.line(format_args!(
        "  {} receipts' bytes in the ledgers, {} bytes counted on the wire: {}",
        grouped(ledger),
        grouped(wire),
        if ledger == wire { "equal" } else { "NOT EQUAL" }
    ));
    demo.report.figure("border_bytes_wire", wire);
    demo.report.figure("border_bytes_ledger", ledger);
    demo.report.promise(wire == ledger && wire > 0, "the bytes in the ledgers equal the bytes on the wire");
}

/// Bytes of the receipts that these regions keep for the questions that were answered.
pub(super) fn ledger_bytes(demo: &Demo, regions: &[&str]) -> Result<u64> {
    let mut bytes = 0;
    for region in regions {
        for record in demo.cluster.edge(region).ledger()? {
            let receipt = &record["receipt"];
            if receipt["query_id"].as_str().is_some_and(|query| demo.report.was_answered(query)) {
                bytes += receipt["bytes"].as_u64().unwrap_or_default();
            }
        }
    }
    Ok(bytes)
}
