// The resident's whole log as a file to keep: CSV (RFC 4180) for a spreadsheet, JSON for programs.
import Foundation
import HTTPTypes
import Web

/// Writes entries one read after the other.
struct EntryExport: Sendable {
    enum Format: String, Sendable {
        case csv
        case json
    }

    /// Entries in one read: as many as the database gives at most.
    static let entriesPerRead = 199

    let format: Format
    let language: Language

    var headers: HTTPFields {
        [
            .contentType: format == .csv ? "text/csv; charset=utf-8; header=present" : "application/json",
            .contentDisposition: "attachment; filename=\"who-looked-at-your-data.\(format.rawValue)\"",
        ]
    }

    var beginning: [UInt8] { format == .csv ? Self.record(Self.columns) : Array("[".utf8) }
    var end: [UInt8] { format == .csv ? [] : Array("]\n".utf8) }

    func lines(_ entries: [AccessEntry], isFirst: Bool) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for (position, entry) in entries.enumerated() {
            let body = AccessEntryBody(entry, language: language)
            if format == .csv {
                bytes += Self.record(Self.values(body))
            } else {
                if !isFirst || position > 0 { bytes += Array(",\n".utf8) }
                bytes += try JSONEncoder().encode(body)
            }
        }
        return bytes
    }

    private static let columns = [
        "at", "id", "organisation", "organisation_name", "role", "operation", "purpose", "purpose_title", "attributes", "legal_ground",
        "case_reference", "outcome", "refusal", "helper", "leaf_index", "count", "emergency", "finding", "name",
    ]

    private static func values(_ body: AccessEntryBody) -> [String] {
        [
            body.at, body.id, body.organisation ?? "", body.organisationName ?? "", body.role, body.operation, body.purpose, body.purposeTitle ?? "",
            body.attributes.joined(separator: " "), body.legalGround ?? "", body.caseReference ?? "", body.outcome, body.refusal ?? "",
            body.helper ?? "", body.leafIndex.map(String.init) ?? "", body.count.map(String.init) ?? "", body.emergency ? "true" : "", body.finding ?? "",
            body.name ?? "",
        ]
    }

    /// What spreadsheets take for the beginning of a formula, in its wide forms too.
    private static let formulaSigns: Set<Unicode.Scalar> = ["=", "+", "-", "@", "\u{FF1D}", "\u{FF0B}", "\u{FF0D}", "\u{FF20}", "\t", "\r"]

    /// Every field in quotes. Spreadsheets run what begins like a formula, and organisations choose some of these texts: an apostrophe in front
    /// keeps it a text. Some split at semicolons, so what stands behind one counts as a beginning.
    private static func record(_ values: [String]) -> [UInt8] {
        let fields = values.map { value in
            var text = String.UnicodeScalarView()
            var isBeginning = true
            for scalar in value.unicodeScalars {
                if isBeginning, formulaSigns.contains(scalar) { text.append("'") }
                text.append(scalar)
                isBeginning = scalar == ";" || (isBeginning && (scalar == " " || scalar == "\""))
            }
            return "\"" + String(text).replacingOccurrences(of: "\"", with: "\"\"") + "\""
        }
        return Array((fields.joined(separator: ",") + "\r\n").utf8)
    }
}
