// The organisations of the demo city, their clients with keys in files, and the names under which they know the demo residents.
import Consent
import Foundation
import OpenID
import Postgres
import Primitives
import Register
import Web

/// An organisation as demo.json tells it.
struct DemoOrganisationFile: Sendable {
    let name: String
    let clientID: String
    let privateKeyPath: String
    let purposes: [(id: String, attributes: [String], legalBasis: String)]
    /// Pseudonym by the resident's user name.
    let subjects: [(username: String, pseudonym: UUID)]
}

extension DemoLoader {
    func loadOrganisations(residents: [DemoPerson]) async throws -> [DemoOrganisationFile] {
        let administration = ConsentAdministration(owner: owner)
        var files: [DemoOrganisationFile] = []
        for organisation in DemoScript.organisations {
            _ = try await ConsentAdministration.addOrganisation(id: organisation.id, name: organisation.name, kind: organisation.kind, with: owner)
            for purpose in organisation.purposes {
                _ = try await administration.addActivity(
                    NewActivity(
                        id: ActivityID(demoUUID("activity/\(organisation.id)/\(purpose.id)")), organisationID: organisation.id, purpose: purpose.id,
                        legalBasis: purpose.legalBasis, law: purpose.law, attributes: purpose.attributes, title: purpose.title,
                        explanation: purpose.explanation, validMonths: purpose.validMonths, retention: purpose.retention, retentionLaw: purpose.retentionLaw))
            }
            let path = try await loadClient(organisation.id, organisation.name)
            let subjects = try await pseudonyms(of: residents, for: organisation.id)
            files.append(
                DemoOrganisationFile(
                    name: organisation.name.text(.english), clientID: organisation.id, privateKeyPath: path,
                    purposes: organisation.purposes.map { ($0.id, $0.attributes, $0.legalBasis.rawValue) }, subjects: subjects))
        }
        if let resident = residents.first { try await askForConsent(of: resident) }
        return files
    }

    /// The library asks the first resident, once, so that there is a request to look at.
    private func askForConsent(of resident: DemoPerson) async throws {
        let outcome = try await owner.optional(
            DemoRequest(
                id: demoUUID("request/library-card"), publicCode: resident.publicCode, activity: demoUUID("activity/city-library/library-card"),
                client: "city-library", message: "Your new card is ready as soon as you agree."))
        guard outcome == nil || outcome == "recorded" else { throw SetupError("The demo city cannot make a request: \(outcome ?? "").") }
    }

    /// An organisation's client for its own system.
    func loadClient(_ id: String, _ name: LocalisedText, scope: [String]? = nil) async throws -> String {
        try await clientKey(id) { keySet in
            try await ClientRegistration.registerOrganisationClient(id: id, organisation: id, name: name, keySet: keySet, scope: scope, with: owner)
        }
    }

    /// A client and its key file. When one of the two is missing, a new key replaces whatever there was.
    /// - Parameter register: enters the client with its public key.
    /// - Returns: where the private key is.
    func clientKey(_ id: String, _ register: (_ keySet: String) async throws -> Void) async throws -> String {
        let path = "\(installation.data.keys)/\(id).jwk.json"
        let isRegistered = try await owner.one(ClientExists(id: id))
        if isRegistered, FileManager.default.fileExists(atPath: path) { return path }
        let pair = ClientKeyPair()
        try writePrivateFile(Array(pair.privateJWK.reveal().utf8), to: path)
        if isRegistered {
            try await ClientRegistration.replaceKeys(of: id, keySet: pair.publicJWK, with: owner)
        } else {
            try await register(pair.publicJWK)
        }
        return path
    }

    private func pseudonyms(of residents: [DemoPerson], for organisation: String) async throws -> [(username: String, pseudonym: UUID)] {
        var subjects: [(String, UUID)] = []
        for resident in residents {
            let pseudonym = try await owner.one(PseudonymOf(publicCode: resident.publicCode, organisation: organisation))
            subjects.append((resident.username, pseudonym))
        }
        return subjects
    }

    /// The public client of a resident's app.
    func loadApp() async throws {
        guard try await !owner.one(ClientExists(id: DemoLoader.appClientID)) else { return }
        let name = LocalisedText([.english: "City app", .french: "Application de la ville", .arabic: "تطبيق المدينة"])
        try await ClientRegistration.registerApp(
            id: DemoLoader.appClientID, name: name, redirectAddresses: ["http://127.0.0.1/callback"], with: owner)
    }

    static let appClientID = "demo-app"
    /// Everything that an app can hold, as it is registered and told in demo.json.
    static let appScope = "profile consents access_log bills payments messages export"
}

/// A request with its message. No row when it was made at an earlier start.
private struct DemoRequest: Query {
    let id: UUID
    let publicCode: String
    let activity: UUID
    let client: String
    let message: String

    var sql: SQL {
        """
        WITH asked AS MATERIALIZED (
            SELECT consent.append(\(id), r.id, \(activity), 'requested', NULL, NULL, NULL, NULL, \(client), 'organisation', 'exchange', 'en', NULL) AS outcome
            FROM register.resident AS r
            WHERE r.public_code = \(publicCode) AND NOT EXISTS (SELECT FROM consent.event AS e WHERE e.id = \(id))
        ), written AS (
            INSERT INTO consent.request_message (request_id, text, language) SELECT \(id), \(message), 'en' FROM asked WHERE outcome = 'recorded'
        )
        SELECT outcome FROM asked
        """
    }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

private struct ClientExists: Query {
    let id: String
    var sql: SQL { "SELECT EXISTS (SELECT FROM openid.client WHERE id = \(id))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// Gives a resident a pseudonym for an organisation, or finds the one there is.
private struct PseudonymOf: Query {
    let publicCode: String
    let organisation: String

    var sql: SQL {
        """
        WITH resident AS (SELECT id FROM register.resident WHERE public_code = \(publicCode)),
        made AS (
            INSERT INTO exchange.pseudonym (organisation_id, resident_id) SELECT \(organisation), id FROM resident
            ON CONFLICT (resident_id, organisation_id) DO NOTHING RETURNING pseudonym)
        SELECT pseudonym FROM made
        UNION ALL
        SELECT p.pseudonym FROM exchange.pseudonym AS p JOIN resident AS r ON p.resident_id = r.id WHERE p.organisation_id = \(organisation)
        LIMIT 1
        """
    }

    func decode(_ row: inout RowReader) throws -> UUID { try row.next() }
}
