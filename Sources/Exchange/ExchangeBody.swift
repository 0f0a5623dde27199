// What an organisation sends and what it receives. The body is checked completely before it joins others in one transaction:
// a value that the database cannot take would fail its neighbours first.
import AccessLog
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Register
import Web

/// The body of a read: whom, why, what, and for which case.
struct ExchangeBody: Sendable {
    let subject: UUID
    let purpose: String
    let attributes: [String]
    let caseReference: String

    /// Enough for fifty attributes of forty characters, four times over; a smaller body is a cheaper one to refuse.
    static let bytesMax = 8 * 1024
    /// As many as a policy can have (migrations/0003).
    static let attributesMax = 50
    /// As long as an attribute's id can be (migrations/0002).
    static let attributeCharactersMax = 40
    /// As long as a purpose can be (migrations/0003).
    static let purposeCharactersMax = 63
    /// A file number with its office and year; it is shown to the resident on one line.
    static let caseReferenceCharactersMax = 64

    /// - Throws: one `Problem` 400 that names every bad field. A subject that is no UUID is a bad field and no unknown subject: it is
    ///   wrong for everybody alike, so saying so tells nothing about anybody, and sends whoever programs the client to the mistake.
    init(_ reader: consuming JSONReader) throws {
        var body = reader
        subject = body.uuid("subject")
        purpose = body.string("purpose", charactersMax: Self.purposeCharactersMax)
        attributes = body.strings("attributes", countMax: Self.attributesMax, charactersMax: Self.attributeCharactersMax)
        caseReference = body.string("case_reference", charactersMax: Self.caseReferenceCharactersMax)
        if !isIdentifier(purpose, hyphen: UInt8(ascii: "-")), !purpose.isEmpty {
            body.reject("purpose", code: "malformed", detail: "A purpose has small letters, digits and hyphens.")
        }
        for (position, attribute) in attributes.enumerated() where !isIdentifier(attribute, hyphen: UInt8(ascii: "_")) {
            body.reject("attributes[\(position)]", code: "malformed", detail: "An attribute has small letters, digits and underscores.")
        }
        if attributes.isEmpty, !body.errors.contains(where: { $0.field.hasPrefix("attributes") }) {
            body.reject("attributes", code: "empty", detail: "Name at least one attribute.")
        }
        if !caseReference.isEmpty, !caseReference.isOneVisibleLine {
            body.reject("case_reference", code: "malformed", detail: "Send one line of visible text: the resident reads it.")
        }
        try body.finish()
    }

    func access(credential: CredentialHash) -> AccessRequest {
        AccessRequest(
            credential: credential, operation: .disclose, subject: .pseudonym(subject), attributes: attributes, purpose: purpose,
            caseReference: caseReference)
    }
}

/// Whether a text has only what ids have. A comma would split one attribute into two on its way to the database.
private func isIdentifier(_ text: String, hyphen: UInt8) -> Bool {
    text.utf8.allSatisfy { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == hyphen
    }
}

/// The answer: what was asked for, in that order, null where the city holds nothing, and the id of the access entry.
func exchangeAnswer(asked: [String], record: OpenedRecord) -> Response {
    let values = asked.map { attribute in
        JSONMember(attribute, record.value(Attribute(rawValue: attribute)).map { .string($0) } ?? .null)
    }
    return .json(
        .object([JSONMember("attributes", .object(values)), JSONMember("access_entry", .string(record.entryID.description))]))
}
