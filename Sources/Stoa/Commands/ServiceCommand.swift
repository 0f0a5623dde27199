// `stoa organisation add-service`: a service of an organisation at which residents sign in (OpenID Connect).
import ArgumentParser
import Foundation
import OpenID
import Postgres
import Primitives
import Web

/// `stoa organisation add-service`
struct OrganisationAddServiceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add-service", abstract: "Enters a service of an organisation at which residents sign in.",
        discussion: """
            Which data it may ask for is what one purpose of the organisation says (add-purposes); without a purpose it learns only that somebody is the same
            person each time. Give the service's public key, or have a key pair made: Stoa keeps the public half.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "The organisation's id.") var id: String
    @Option(help: "The service's client_id: 2 to 63 small letters, digits and dashes, a letter first.") var service: String
    @Option(help: "Its name in English, as residents read it.") var name: String
    @Option(help: "Its name in French.") var nameFr: String?
    @Option(help: "Its name in Arabic.") var nameAr: String?
    @Option(help: "Where residents come back to, exactly: https://host/path, or http://127.0.0.1/path for any port of one's own device; once for each.")
    var redirectURI: [String] = []
    @Option(help: "openid, and of profile, email, phone, address what its purpose covers; offline_access to go on without the resident; once for each.")
    var scope = ["openid"]
    @Option(help: "The purpose of the organisation under which it reads claims.") var purpose: String?
    @Option(help: "A file with its public key as JWK or JWK set.", completion: .file()) var publicKey: String?
    @Option(help: "Where to write a new private key (JWK); the file must not exist.", completion: .file()) var newPrivateKey: String?
    @Flag(help: "It can keep no key: an app of the organisation, which proves itself with PKCE alone.") var publicClient = false
    @Option(help: "What signs its ID tokens: ES256, EdDSA, or RS256 for old libraries.") var idTokenAlgorithm = "ES256"
    @Flag(help: "It keeps the FAPI 2.0 Security Profile: pushed requests, tokens bound to a key.") var fapi = false
    @Option(help: "An interface of the organisation that it may ask tokens for (https://…); once for each.") var resource: [String] = []
    @Option(help: "Where a browser may go after signing out, written as redirect addresses are; once for each.") var postLogoutURI: [String] = []
    @Option(help: "Where the service is told that somebody signed out: https://host/path; plain http only for a receiver on this machine.") var logoutURI: String?
    @Flag(help: "Devices without a browser sign residents in for it.") var devices = false

    func validate() throws {
        guard [publicKey != nil, newPrivateKey != nil, publicClient].filter(\.self).count == 1 else {
            throw ValidationError("Give one of --public-key, --new-private-key and --public-client.")
        }
    }

    func run() async throws {
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let key = try clientKey()
        let names: [Language: String] = [.english: name].merging(
            [(.french, nameFr), (.arabic, nameAr)].compactMap { language, name in name.map { (language, $0) } }) { $1 }
        let registration = ClientRegistration.Service(
            id: service, organisation: id, name: LocalisedText(names), redirectAddresses: redirectURI, keySet: key?.publicHalf, scope: scope, purpose: purpose,
            idTokenAlgorithm: idTokenAlgorithm, isFAPI: fapi, resources: resource, postLogoutAddresses: postLogoutURI, logoutAddress: logoutURI, hasDevices: devices)
        do {
            try await Installation.with(configuration, creatingData: true, say: sayToPerson) { installation in
                try await installation.migrate()
                try await installation.withPool(.owner, logger: logger) { owner in
                    do {
                        try await ClientRegistration.register(registration, with: owner)
                    } catch let refusal as ClientRegistration.Refusal {
                        throw SetupError("The service cannot be entered: \(refusal).")
                    }
                }
            }
        } catch {
            // The key of nobody: it would only stand in the way of the next attempt.
            if let file = key?.privateFile { try? FileManager.default.removeItem(atPath: file) }
            throw error
        }
        print("The service \"\(service)\" of \"\(id)\" is entered. It finds everything else at \(configuration.baseURL.origin)/.well-known/openid-configuration")
    }

    /// The public key to register; with `--new-private-key` the private half is written first.
    private func clientKey() throws -> (publicHalf: String, privateFile: String?)? {
        if publicClient { return nil }
        if let publicKey {
            guard let text = try? String(contentsOfFile: publicKey, encoding: .utf8) else { throw SetupError("\(publicKey) cannot be read.") }
            return (text, nil)
        }
        let place = newPrivateKey ?? ""
        guard !FileManager.default.fileExists(atPath: place) else { throw SetupError("\(place) exists already; a key is never overwritten.") }
        let pair = ClientKeyPair()
        try writePrivateFile(Array(pair.privateJWK.reveal().utf8), to: place)
        return (pair.publicJWK, place)
    }
}

/// `stoa organisation registration-token`
struct OrganisationRegistrationTokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "registration-token", abstract: "Lets an organisation register services itself (RFC 7591).",
        discussion: "Prints an initial access token, which is stored nowhere. Give it to the organisation on a safe way.")

    @OptionGroup var common: CommonOptions
    @Option(help: "The organisation's id.") var id: String
    @Option(help: "The purpose under which these services read claims; without one they learn only that somebody is the same person.") var purpose: String?
    @Option(help: "How many services.") var uses = 1
    @Option(help: "For how many days it counts.") var days = 7

    func validate() throws {
        guard (1...1000).contains(uses), (1...90).contains(days) else { throw ValidationError("Write 1 to 1000 uses and 1 to 90 days.") }
    }

    func run() async throws {
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let (id, purpose, uses, days) = (self.id, self.purpose, self.uses, self.days)
        let token = try await Installation.with(configuration, creatingData: true, say: sayToPerson) { installation in
            try await installation.migrate()
            return try await installation.withPool(.owner, logger: logger) { owner in
                try await RegistrationTokens.make(organisation: id, purpose: purpose, usesMax: uses, days: days, with: owner)
            }
        }
        guard let token else { throw SetupError("There is no organisation \"\(id)\"\(purpose.map { " with the purpose \"\($0)\"" } ?? "").") }
        print(token)
    }
}
