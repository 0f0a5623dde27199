// `stoa organisation create` and `set`: an organisation, its client and the client's key, and where it is told things. What it may ask for comes next (PurposesCommand.swift).
import ArgumentParser
import Consent
import Exchange
import Foundation
import OpenID
import Postgres
import Primitives
import Web

/// `stoa organisation …`
struct OrganisationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "organisation", abstract: "Organisations that ask for data.",
        subcommands: [OrganisationCreateCommand.self, OrganisationSetCommand.self, OrganisationAddPurposesCommand.self, OrganisationAddServiceCommand.self,
            OrganisationRegistrationTokenCommand.self])
}

/// `stoa organisation create`
struct OrganisationCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Enters an organisation, with a client that can obtain tokens.",
        discussion: """
            The client's id is the organisation's. Give the organisation's public key, or have a key pair made: the private half is written to a file that
            only you can read, for the organisation; Stoa keeps the public half.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "2 to 63 small letters, digits and dashes, a letter first.") var id: String
    @Option(help: "Its name in English.") var name: String
    @Option(help: "Its name in French.") var nameFr: String?
    @Option(help: "Its name in Arabic.") var nameAr: String?
    @Option(help: "What it is.") var kind = Kind.other
    @Option(help: "What its tokens may do; once for each. exchange.read: ask for data; usage.read: show residents their log, as a national portal does; ledger.post: move money between accounts of its own.")
    var scope = ["exchange.read"]
    @Option(help: "A file with its public key as JWK or JWK set.", completion: .file()) var publicKey: String?
    @Option(help: "Where to write a new private key (JWK); the file must not exist.", completion: .file()) var newPrivateKey: String?
    @Option(help: "Where notices of ended consents are posted to: \(WebhookAdministration.rule). It can read them without.") var webhook: String?

    /// As in `consent.organisation.kind`; a test compares the two.
    enum Kind: String, CaseIterable, ExpressibleByArgument {
        case cityOffice = "city_office", health, bank, retailer, school, other
    }

    func validate() throws {
        // The rule of `consent.organisation.id`, told before a database is made for it.
        guard id.wholeMatch(of: /[a-z][a-z0-9-]{1,62}/) != nil else {
            throw ValidationError("\"\(id)\" cannot be an organisation's id. Write 2 to 63 small letters, digits and dashes, a letter first: harbour-clinic.")
        }
        try checkWebhook(webhook)
        guard (publicKey == nil) != (newPrivateKey == nil) else { throw ValidationError("Give either --public-key or --new-private-key.") }
    }

    func run() async throws {
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let key = try clientKey()
        let (id, kind, text, webhook) = (self.id, self.kind, LocalisedText(names), self.webhook)
        do {
            try await Installation.with(configuration, creatingData: true, say: sayToPerson) { installation in
                try await installation.migrate()
                try await installation.withPool(.owner, logger: logger) { owner in
                    try await owner.transaction { transaction in
                        guard try await ConsentAdministration.addOrganisation(id: id, name: text, kind: kind.rawValue, with: transaction) else {
                            throw SetupError("There is an organisation \"\(id)\" already. Nothing was changed.")
                        }
                        try await ClientRegistration.registerOrganisationClient(
                            id: id, organisation: id, name: text, keySet: key.publicHalf, scope: scope, with: transaction)
                        if let webhook { try await WebhookAdministration.set(webhook, of: id, with: transaction) }
                    }
                }
            }
        } catch {
            // The key of nobody: it would only stand in the way of the next attempt.
            if let file = key.privateFile { try? FileManager.default.removeItem(atPath: file) }
            throw error
        }
        print("The organisation \"\(id)\" and its client \"\(id)\" are entered. It can read nothing yet: enter what it may ask for with")
        print("  stoa organisation add-purposes --id \(id) purposes.json     (--help shows such a file)")
    }

    private var names: [Language: String] {
        [.english: name].merging([(.french, nameFr), (.arabic, nameAr)].compactMap { language, name in name.map { (language, $0) } }) { $1 }
    }

    /// The public key to register. With `--new-private-key` the private half is written first: a client whose key was lost could not be entered again.
    private func clientKey() throws -> (publicHalf: String, privateFile: String?) {
        if let publicKey {
            guard let text = try? String(contentsOfFile: publicKey, encoding: .utf8) else {
                throw SetupError("\(publicKey) cannot be read. It holds the organisation's public key; --new-private-key makes a pair where there is none yet.")
            }
            return (text, nil)
        }
        let place = newPrivateKey ?? ""
        guard !FileManager.default.fileExists(atPath: place) else { throw SetupError("\(place) exists already; a key is never overwritten.") }
        let pair = ClientKeyPair()
        try writePrivateFile(Array(pair.privateJWK.reveal().utf8), to: place)
        return (pair.publicJWK, place)
    }
}

/// `stoa organisation set`
struct OrganisationSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Changes where an organisation is told about ended consents.",
        discussion: "Notices that are made from now on are posted there, signed, again and again for three days; the organisation can always read them itself.")

    @OptionGroup var common: CommonOptions
    @Option(help: "The organisation's id.") var id: String
    @Option(help: "\(WebhookAdministration.rule).") var webhook: String?
    @Flag(help: "Posts no more notices.") var noWebhook = false

    func validate() throws {
        try checkWebhook(webhook)
        guard (webhook != nil) != noWebhook else { throw ValidationError("Give either --webhook or --no-webhook.") }
    }

    func run() async throws {
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let (id, webhook) = (self.id, self.webhook)
        try await Installation.with(configuration, creatingData: true, say: sayToPerson) { installation in
            try await installation.migrate()
            try await installation.withPool(.owner, logger: logger) { owner in
                do {
                    try await WebhookAdministration.set(webhook, of: id, with: owner)
                } catch let error as DatabaseError where error.isForeignKeyViolation {
                    throw SetupError("There is no organisation \"\(id)\".")
                }
            }
        }
        print(webhook.map { "Notices to \"\(id)\" are posted to \($0) from now on." } ?? "Notices to \"\(id)\" are posted no more. It can still read them.")
    }
}

/// Before a database is opened for it.
private func checkWebhook(_ webhook: String?) throws {
    guard let webhook, !WebhookAdministration.isAddress(webhook) else { return }
    throw ValidationError("\"\(webhook)\" cannot be a webhook. Write \(WebhookAdministration.rule).")
}
