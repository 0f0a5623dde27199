// What the portal asks and what it is told: the parameters of findUsage, and an entry of the log in the interface's five fields.
import AccessLog
import Foundation
import HTTPTypes
import Primitives
import Register
import Web

/// The parameters of `/v2/findUsage`.
struct UsageQuery: Sendable {
    /// Entries in one answer, by the interface.
    static let limitMax = 1000
    /// As deep as anybody's log can be paged; beyond it every offset costs more than it shows.
    static let offsetMax = 1_000_000

    let nationalNumber: String
    /// Somebody else asks, by a right to represent the person.
    let isRepresentative: Bool
    let period: (start: Date?, end: Date?)
    let offset: Int
    let limit: Int
    let reference: String

    /// - Throws: `Problem` 400 that names what is wrong.
    init(_ query: Form, headers: HTTPFields, requestID: String) throws {
        var problems: [FieldProblem] = []
        func reject(_ field: String, _ detail: String) { problems.append(FieldProblem(field: field, code: "malformed", detail: detail)) }
        func personalCode(_ field: String, _ text: String?) -> String {
            guard let text, let code = Self.digits(of: text) else {
                reject(field, "Send two letters of the country and the digits of the personal code, like EE12345678901.")
                return ""
            }
            return code
        }
        func moment(_ field: String) throws -> Date? {
            guard let text = try query.value(field) else { return nil }
            let date = (try? Date(text, strategy: .iso8601)) ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
            // RFC 3339 has years of four digits; the database holds no others for ever either.
            if let date, text.prefix(while: { $0 != "-" }).count == 4 { return date }
            reject(field, "Send a moment like 2021-01-31T10:20:30Z; a plus sign goes as %2B.")
            return nil
        }
        func number(_ field: String, _ standard: Int, max: Int) throws -> Int {
            guard let text = try query.value(field) else { return standard }
            if let number = Int(text), (0...max).contains(number) { return number }
            reject(field, "Send a whole number from 0 to \(max).")
            return standard
        }
        let userCode = try query.value("userCode")
        nationalNumber = personalCode("userCode", userCode)
        _ = personalCode("X-Road-UserId", headers[.xRoadUserID])
        // The country belongs to the code: the same digits elsewhere are somebody else.
        isRepresentative = headers[.xRoadUserID] != userCode
        period = (try moment("periodStart"), try moment("periodEnd"))
        offset = try number("offset", 0, max: Self.offsetMax)
        limit = try number("limit", Self.limitMax, max: Self.limitMax)
        // The id that X-Road gives a message; the resident can quote it to the portal.
        reference = headers[.xRoadID].flatMap(Self.reference) ?? requestID
        guard problems.isEmpty else {
            throw Problem(
                "invalid-query", status: .badRequest, title: "Invalid query", detail: problems.map { "\($0.field): \($0.detail)" }.joined(separator: " "),
                errors: problems)
        }
    }

    func access(credential: CredentialHash, lookup: LookupKey) -> AccessRequest {
        AccessRequest(
            credential: credential, operation: .usage, subject: .nationalNumber(lookup.nationalNumber(nationalNumber)), attributes: [],
            purpose: isRepresentative ? "data_tracker_representative" : "data_tracker", caseReference: reference)
    }

    /// EE12345678901: a country and digits. Which countries' numbers the register knows is the register's to say.
    private static func digits(of text: String) -> String? {
        guard let match = text.wholeMatch(of: /[A-Z]{2}([0-9]{6,20})/) else { return nil }
        return String(match.1)
    }

    /// As long as a case reference can be, and visible.
    private static func reference(_ text: String) -> String? {
        (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } ? text : nil
    }
}

extension HTTPField.Name {
    /// Of X-Road's message protocol for REST.
    fileprivate static let xRoadUserID = named("X-Road-UserId")
    fileprivate static let xRoadID = named("X-Road-Id")

    /// The names are literals of this file; one that is no header name would answer as `Via`, which every test would see.
    private static func named(_ name: String) -> HTTPField.Name { HTTPField.Name(name) ?? .via }
}

/// An entry as the portal shows it.
struct UsageBody: Sendable {
    let json: JSONValue

    init(_ entry: AccessEntry, _ context: some PageContext) {
        let view = EntryView(entry, context: context)
        let action = [view.purpose, view.attributes].compactMap(\.self).joined(separator: ": ")
        json = .object([
            JSONMember("logtime", .string(RFC3339.text(entry.at))),
            JSONMember("action", .string(action)),
            JSONMember("receiverCode", .string(entry.organisationID ?? "city")),
            JSONMember("receiverName", entry.organisationName.map { .string($0.text(context.language)) } ?? .null),
            // Staff work in the city's own system.
            JSONMember("receiverSystem", .string(entry.clientID ?? "stoa")),
        ])
    }
}
