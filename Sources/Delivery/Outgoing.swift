// The public face of the slice: what other slices put into the outbox. They seal where it goes and what fills its placeholders, and hand that to their own definer
// function, which writes it with delivery.put (migrations/0033_delivery.sql) in the transaction of what it tells about.
import Foundation
public import Primitives
public import Register
public import Web

public enum OutgoingTag {}
/// What an outgoing message's id names. It is the message's at the relay and the gateway too, so that they can tell a repetition.
public typealias OutgoingID = ID<OutgoingTag>

/// A way out of the city.
public enum OutgoingChannel: String, Sendable, CaseIterable {
    case email
    case sms
    case letter
}

/// What a message says. Its words are `delivery.<channel>.<raw value>` in every catalogue. None holds a personal detail, and the only address in it is that of the site.
public enum OutgoingTemplate: String, Sendable, CaseIterable {
    /// There is something to read on the site.
    case news
    /// The code that proves an address: `code`, and for how many `minutes` it counts.
    case addressCode = "address_code"
    /// To an account whose address somebody wanted to add to another one.
    case addressInUse = "address_in_use"
    /// An address of the account was added, preferred or removed.
    case addressChanged = "address_changed"
    /// The `code` that stands in for a lost password.
    case recovery
    /// Such a letter was asked for.
    case recoveryAsked = "recovery_asked"
    /// Its code was used.
    case recoveryUsed = "recovery_used"
    /// Recovery was asked for at a counter, and its code was used.
    case counterRecoveryAsked = "counter_recovery_asked"
    case counterRecoveryUsed = "counter_recovery_used"
    /// The resident let somebody act for them.
    case mandateGranted = "mandate_granted"

    /// The ways that it has words for.
    var channels: [OutgoingChannel] {
        switch self {
        case .news: [.email, .sms, .letter]
        case .recovery: [.letter]
        case .addressCode, .addressInUse, .addressChanged, .recoveryAsked, .recoveryUsed, .counterRecoveryAsked, .counterRecoveryUsed, .mandateGranted: [.email, .sms]
        }
    }
}

/// Seals what a message holds, under the key of the resident whom it is for.
public struct OutgoingSealing: Sendable {
    private let vault: ResidentVault

    public init(vault: ResidentVault) {
        self.vault = vault
    }

    /// - Parameter address: an e-mail address or phone number in its normal form.
    public func recipient(_ address: String, on channel: OutgoingChannel, of resident: ResidentID, under key: DataKey) throws -> [UInt8] {
        try vault.seal(address, as: .recipient(channel), of: resident, under: key)
    }

    /// - Parameter parameters: texts by placeholder. They are bound to the message, so that the code of one cannot be put into another.
    public func parameters(_ parameters: [String: String], of id: OutgoingID, for resident: ResidentID, under key: DataKey) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return try vault.seal(String(decoding: try encoder.encode(parameters), as: UTF8.self), as: .parameters(id), of: resident, under: key)
    }

    func openRecipient(_ sealed: [UInt8], on channel: OutgoingChannel, of resident: ResidentID, under key: DataKey) throws -> String {
        try vault.open(sealed, as: .recipient(channel), of: resident, under: key)
    }

    func openParameters(_ sealed: [UInt8]?, of id: OutgoingID, for resident: ResidentID, under key: DataKey) throws -> [String: String] {
        guard let sealed else { return [:] }
        return try JSONDecoder().decode([String: String].self, from: Data(try vault.open(sealed, as: .parameters(id), of: resident, under: key).utf8))
    }
}

extension Attribute {
    // What a sealed value is bound to. An address that a resident gave is sealed as that attribute, so that the register and the outbox take the same bytes.
    fileprivate static func recipient(_ channel: OutgoingChannel) -> Attribute { channel == .sms ? .contactPhone : .contactEmail }
    fileprivate static func parameters(_ id: OutgoingID) -> Attribute { Attribute(rawValue: "outgoing/\(id)") }
}
