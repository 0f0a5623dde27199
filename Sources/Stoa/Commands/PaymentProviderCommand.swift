// `stoa payment-provider set`: through whom residents can pay by card or mobile money, and what it costs them. The role that serves can set none.
import ArgumentParser
import Foundation
import Payments
import Postgres
import Primitives

/// `stoa payment-provider …`
struct PaymentProviderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "payment-provider", abstract: "Providers of card and mobile payments.", subcommands: [PaymentProviderSetCommand.self])
}

/// `stoa payment-provider set`
struct PaymentProviderSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Sets a provider, or changes one.",
        discussion: """
            The ledger gets two accounts with it: what the provider owes the city, and what payers paid for this way. The provider signs its events with the
            secret; docs/API.md says how.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "Small letters, digits and dashes: it stands in the address of its events.") var id: String
    @Option(help: "card or mobile_money.") var kind: String
    @Option(help: "Its name, as residents know it.") var name: String
    @Option(help: "Its currency, such as EUR.") var currency: String
    @Option(help: "Where residents are led to: an https address without a query.") var checkout: String
    @Option(help: "What the payer pays for a payment, in minor units.") var feeFixed: Int64 = 0
    @Option(help: "And of each ten thousand that are paid: 150 are 1.5 %.") var feePer10000: Int = 0
    @Option(help: "A file with the shared secret: 32 to 64 bytes in hexadecimal.", completion: .file()) var secretFile: String
    @Flag(help: "Residents cannot choose it any more; its events still count.") var hidden = false

    func run() async throws {
        guard let currency = Currency(code: currency) else { throw ValidationError("\"\(currency)\" is no currency that is known.") }
        guard let kind = PaymentProvider.Kind(rawValue: kind) else { throw ValidationError("--kind is card or mobile_money.") }
        guard let text = try? String(contentsOfFile: secretFile, encoding: .utf8), let secret = Self.bytes(text.trimmingCharacters(in: .whitespacesAndNewlines)),
            (32...64).contains(secret.count)
        else { throw ValidationError("\(secretFile) does not hold 32 to 64 bytes in hexadecimal.") }
        let provider = PaymentProvider(
            id: id, kind: kind, name: name, currency: currency, checkout: checkout, feeFixed: feeFixed, feePer10000: feePer10000, secret: Redacted(secret),
            isOffered: !hidden)
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        do {
            try await Installation.with(configuration, creatingData: true, say: sayToPerson) { installation in
                try await installation.migrate()
                try await installation.withPool(.owner, logger: logger) { try await ProviderAdministration(owner: $0).set(provider) }
            }
        } catch let error as DatabaseError where error.constraint != nil {
            throw SetupError("The provider breaks the rule \(error.constraint ?? ""). Nothing was changed.")
        }
        print("\(id) is set. Its events come to /api/v1/payment-providers/\(id)/events.")
    }

    private static func bytes(_ hexadecimal: String) -> [UInt8]? {
        guard hexadecimal.utf8.count.isMultiple(of: 2), hexadecimal.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
        var bytes: [UInt8] = []
        var rest = hexadecimal[...]
        while let byte = UInt8(rest.prefix(2), radix: 16) {
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }
}
