// The two forms of the whole: JSON for programs, and CSV (RFC 4180) that any spreadsheet opens, with a line for each value.
import Foundation
import HTTPTypes
import Web

/// Writes parts one after the other.
struct ExportFile: Sendable {
    enum Format: String, Sendable {
        case csv
        case json
    }

    /// The version of both forms. Members are only ever added to a version.
    static let version = "stoa your data v1"

    let format: Format
    let taking: Taking
    let language: Language

    init(format: Format, taking: Taking, language: Language) {
        self.format = format
        self.taking = taking
        self.language = language
    }

    var headers: HTTPFields {
        [
            .contentType: format == .csv ? CSV.contentType : "application/json",
            .contentDisposition: "attachment; filename=\"your-data.\(format.rawValue)\"",
        ]
    }

    private var head: [JSONMember] {
        [
            JSONMember("format", .string(Self.version)), JSONMember("public_code", .string(taking.publicCode)),
            JSONMember("taken_at", .string(RFC3339.text(taking.at))), JSONMember("language", .string(language.tag)),
        ]
    }

    var beginning: [UInt8] {
        switch format {
        // The object stays open for the parts.
        case .json: JSONValue.object(head).serialised().dropLast() + Array(",\"parts\":{".utf8)
        case .csv:
            CSV.record(["part", "item", "field", "value"])
                + head.flatMap { CSV.record(["file", "1", $0.name, $0.value.text ?? ""]) }
        }
    }

    func beginning(of part: OwnDataPart, isFirst: Bool) -> [UInt8] {
        format == .json ? Array((isFirst ? "\n" : ",\n").utf8) + JSONValue.string(part.name).serialised() + Array(":[".utf8) : []
    }

    /// - Parameter position: how many items of the part were written before.
    func lines(_ items: [JSONValue], of part: OwnDataPart, from position: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for (offset, item) in items.enumerated() {
            switch format {
            case .json: bytes += Array((position + offset == 0 ? "\n" : ",\n").utf8) + item.serialised()
            case .csv:
                for (field, value) in Self.values(item, at: "") { bytes += CSV.record([part.name, String(position + offset + 1), field, value]) }
            }
        }
        return bytes
    }

    var endOfPart: [UInt8] { format == .json ? Array("]".utf8) : [] }
    var end: [UInt8] { format == .json ? Array("}}\n".utf8) : [] }

    /// The values of an item, each under its way from the item: `events.1.at`. Lists count from 1, as spreadsheets do; what is null is left out.
    private static func values(_ value: JSONValue, at path: String) -> [(field: String, value: String)] {
        func below(_ name: String) -> String { path.isEmpty ? name : path + "." + name }
        return switch value {
        case .null: []
        case .bool(let answer): [(path, answer ? "true" : "false")]
        case .integer(let number): [(path, String(number))]
        case .number(let written): [(path, written)]
        case .string(let text): [(path, text)]
        case .array(let items): items.enumerated().flatMap { values($1, at: below(String($0 + 1))) }
        case .object(let members): members.flatMap { values($0.value, at: below($0.name)) }
        }
    }
}
