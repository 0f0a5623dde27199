// From what the door released to values that a page or an organisation may see.
public import AccessLog
public import Foundation
public import Primitives
public import Web

/// One value of a resident, and where the city has it from.
public struct OpenedAttribute: Sendable {
    public let attribute: Attribute
    public let value: String
    /// `population_register`, `resident` or `counter`.
    public let source: String
    public let recordedAt: Date
}

/// A resident's record with the attributes that one access entry permits.
public struct OpenedRecord: Sendable {
    public let entryID: AccessEntryID
    public let residentID: ResidentID
    public let publicCode: String
    public let identityAssurance: Int
    /// In the register's order.
    public let attributes: [OpenedAttribute]
    /// Answers to derived attributes; none where the city cannot tell.
    public internal(set) var answers: [Attribute: Bool] = [:]

    /// The value of an attribute, nil where the city holds none.
    public func value(_ attribute: Attribute) -> String? {
        attributes.first { $0.attribute == attribute }?.value
    }

    /// Given names and family name, as far as they are held and were asked for.
    public var name: String? {
        let parts = [value(.givenNames), value(.familyName)].compactMap(\.self)
        return parts.isEmpty ? nil : parts.joined(separator: " ")
    }
}

extension ResidentVault {
    /// Opens everything that the door released. Throws ``VaultError``.
    public func open(_ released: ReleasedRecord) throws(VaultError) -> OpenedRecord {
        var opened: [OpenedAttribute] = []
        for holding in released.holdings where !holding.attributes.isEmpty {
            let key = try unwrap(holding.key)
            for sealed in holding.attributes {
                let attribute = Attribute(rawValue: sealed.attribute)
                let value = try open(sealed.sealedValue, as: attribute, of: holding.key.holderID, under: key)
                opened.append(OpenedAttribute(attribute: attribute, value: value, source: sealed.source, recordedAt: sealed.recordedAt))
            }
        }
        opened.sort { position($0.attribute) < position($1.attribute) }
        return OpenedRecord(
            entryID: released.entryID, residentID: released.residentID, publicCode: released.publicCode,
            identityAssurance: released.identityAssurance, attributes: opened)
    }
}

extension ResidentVault {
    /// Opens the data key that came with released values. Throws ``VaultError``.
    public func unwrap(_ key: SealingKey) throws(VaultError) -> DataKey {
        guard let keyID = key.keyID, let bytes = key.wrappedKey else { throw .unknownKey(keyID: "none") }
        return try unwrap(WrappedKey(keyID: keyID, bytes: bytes), of: key.holderID)
    }

    /// Seals what somebody wrote about or to a resident.
    /// - Parameters:
    ///   - attribute: what the words are, with the id of the row that they are of: no sealed text can take another's place.
    ///   - key: of the resident's record; nil, for a record without one, throws.
    public func seal(_ words: String, as attribute: Attribute, under key: SealingKey?) throws -> [UInt8] {
        guard let key else { throw VaultError.unknownKey(keyID: "none") }
        return try seal(words, as: attribute, of: key.holderID, under: try unwrap(key))
    }

    /// Opens what ``seal(_:as:under:)`` sealed. Throws ``VaultError``.
    public func open(_ words: [UInt8], as attribute: Attribute, under key: SealingKey) throws(VaultError) -> String {
        try open(words, as: attribute, of: key.holderID, under: try unwrap(key))
    }
}

private let positions = Dictionary(uniqueKeysWithValues: Attribute.all.enumerated().map { ($1, $0) })

private func position(_ attribute: Attribute) -> Int { positions[attribute] ?? Int.max }
