// Files of banks for tests: the samples beside this file (MIT licence, see Samples/LICENSE), and small ones that a test writes.
import Foundation

@testable import ISO20022

enum Sample {
    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Samples/\(name).xml")))
    }

    /// A statement with one booked credit of €8.85.
    static func statement(
        version: String = "053.001.08", balances: String = balance("OPBD", "10.00") + balance("CLBD", "18.85"), entries: String = entry(), before: String = ""
    ) -> String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        \(before)<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.\(version)">
        <BkToCstmrStmt><GrpHdr><MsgId>M1</MsgId></GrpHdr>
        <Stmt><Id>S1</Id><Acct><Id><IBAN>GB82 WEST 1234 5698 7654 32</IBAN></Id></Acct>
        \(balances)
        \(entries)
        </Stmt></BkToCstmrStmt></Document>
        """
    }

    static func balance(_ kind: String, _ amount: String, _ direction: String = "CRDT") -> String {
        """
        <Bal><Tp><CdOrPrtry><Cd>\(kind)</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">\(amount)</Amt><CdtDbtInd>\(direction)</CdtDbtInd><Dt><Dt>2026-11-20</Dt></Dt></Bal>
        """
    }

    static func entry(amount: String = #"<Amt Ccy="EUR">8.85</Amt>"#, direction: String = "CRDT", status: String = "<Cd>BOOK</Cd>", more: String = "") -> String {
        "<Ntry>\(amount)<CdtDbtInd>\(direction)</CdtDbtInd><Sts>\(status)</Sts><BookgDt><Dt>2026-11-20</Dt></BookgDt>\(more)</Ntry>"
    }
}

/// What reading a text as a bank's file gives.
func read(_ text: String) throws(BankFileFault) -> BankFile { try BankFile(reading: Array(text.utf8)) }

func fault(_ text: String) -> BankFileFault? {
    do {
        _ = try read(text)
        return nil
    } catch {
        return error
    }
}
