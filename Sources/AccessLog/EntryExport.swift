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
            .contentType: format == .csv ? CSV.contentType : "application/json",
            .contentDisposition: "attachment; filename=\"who-looked-at-your-data.\(format.rawValue)\"",
        ]
    }

    var beginning: [UInt8] { format == .csv ? CSV.record(Self.columns) : Array("[".utf8) }
    var end: [UInt8] { format == .csv ? [] : Array("]\n".utf8) }

    func lines(_ entries: [AccessEntry], isFirst: Bool) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for (position, entry) in entries.enumerated() {
            let body = AccessEntryBody(entry, language: language)
            if format == .csv {
                bytes += CSV.record(Self.values(body))
            } else {
                if !isFirst || position > 0 { bytes += Array(",\n".utf8) }
                bytes += try JSONEncoder().encode(body)
            }
        }
        return bytes
    }

    private static let columns = [
        "at", "id", "organisation", "organisation_name", "role", "operation", "purpose", "purpose_title", "attributes", "legal_ground",
        "case_reference", "outcome", "refusal", "form_entered", "helper", "leaf_index", "count", "emergency", "finding", "name",
        "delayed_by", "delay_ground", "delayed_until",
    ]

    private static func values(_ body: AccessEntryBody) -> [String] {
        [
            body.at, body.id, body.organisation ?? "", body.organisationName ?? "", body.role, body.operation, body.purpose, body.purposeTitle ?? "",
            body.attributes.joined(separator: " "), body.legalGround ?? "", body.caseReference ?? "", body.outcome, body.refusal ?? "",
            body.formEntered.map { String($0) } ?? "", body.helper ?? "", body.leafIndex.map(String.init) ?? "", body.count.map(String.init) ?? "", body.emergency ? "true" : "", body.finding ?? "",
            body.name ?? "", body.delayedBy ?? "", body.delayGround ?? "", body.delayedUntil ?? "",
        ]
    }
}
