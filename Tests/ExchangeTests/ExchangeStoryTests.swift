// The route through which organisations read, as their clients see it. Refusals first.
import AccessLog
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import Exchange

/// A clinic with a purpose by consent and one by law, a bank, and two residents whom the clinic knows.
private struct Story {
    let city: CityFixture
    let clinic: FixtureOrganisation
    let bank: FixtureOrganisation
    let care: FixtureActivity
    let duty: FixtureActivity
    let ada: FixtureResident
    let adaAtClinic: UUID
    let adaAtBank: UUID

    init() async throws {
        city = try await CityFixture.make()
        clinic = try await city.organisation("clinic")
        bank = try await city.organisation("bank")
        care = try await city.activity(clinic, "care", attributes: ["given_names", "family_name", "phone"])
        duty = try await city.activity(clinic, "notification", attributes: ["date_of_birth"], law: "Infection Act § 6")
        ada = try await city.resident()
        adaAtClinic = try await city.pseudonym(of: ada, for: clinic)
        adaAtBank = try await city.pseudonym(of: ada, for: bank)
    }

    func serve(_ body: @Sendable (Story, any TestClientProtocol) async throws -> Void) async throws {
        let door = Door(database: try city.appPool(sharedConnections: 1))
        try await city.serve({ ExchangeRoutes(door: door, vault: city.vault, database: city.app, rules: utcRules, signer: citySigner, baseURL: cityAddress).add(to: $0) }) { try await body(self, $0) }
    }

    func body(
        subject: UUID? = nil, purpose: String = "care", attributes: String = #"["given_names"]"#, caseReference: String = "K-1"
    ) -> String {
        #"{"subject": "\#(subject ?? adaAtClinic)", "purpose": "\#(purpose)", "attributes": \#(attributes), "case_reference": "\#(caseReference)"}"#
    }
}

private let address = "/api/v1/exchange/reads"

@Suite("Exchange reads")
struct ExchangeStoryTests {
    @Test("Without a token, or with one that does not stand, 401 and no entry")
    func strangers() async throws {
        try await Story().serve { story, client in
            let expired = try await story.city.clientToken("clinic", secondsLeft: -1)
            let revoked = try await story.city.clientToken("clinic")
            try await story.city.revoke(revoked)
            for token in [nil, FixtureCredential(), expired, revoked] {
                let answer = try await CityAPIClient(client, token: token).post(address, story.body())
                #expect(answer.status == 401)
                #expect(answer.problem == "unauthorised")
                #expect(answer.headers[.wwwAuthenticate]?.hasPrefix("Bearer") == true)
            }
            #expect(try await story.city.entryCount() == 0)
        }
    }

    @Test("Whoever is no organisation with the scope is refused, and the attempt is an entry")
    func wrongCallers() async throws {
        try await Story().serve { story, client in
            let wrongScope = try await story.city.clientToken("clinic", scope: ["voucher.redeem"])
            let app = try await story.city.appToken(of: story.ada, scope: ["profile", "consents", "access_log"])
            let clerk = try await story.city.staff(roles: [.caseworker, .auditor])
            for token in [wrongScope, app, clerk.session, story.ada.session] {
                let before = try await story.city.entryCount()
                let answer = try await CityAPIClient(client, token: token).post(address, story.body())
                #expect(answer.status == 403)
                #expect(answer.problem == "insufficient-scope")
                #expect(try await story.city.entryCount() == before + 1)
            }
            #expect(try await story.city.entryCount(where: "e.outcome = 'permitted'") == 0)
        }
    }

    @Test("Consent missing, given, part, withdrawn: each read says what it may have or what is missing")
    func consent() async throws {
        try await Story().serve { story, client in
            let clinic = CityAPIClient(client, token: story.clinic.credential)
            let missing = try await clinic.post(address, story.body(attributes: #"["family_name", "phone"]"#))
            #expect(missing.status == 403)
            #expect(missing.problem == "consent-missing")
            #expect(missing.json["missing"] == ["family_name", "phone"])

            #expect(try await story.city.decide("given", story.care, by: story.ada) == "recorded")
            let read = try await clinic.post(address, story.body(attributes: #"["family_name", "phone"]"#))
            #expect(read.status == 200)
            #expect(read.json["attributes"] == ["family_name": "Byron", "phone": nil])
            let entry = try #require(read.json["access_entry"]?.text)
            #expect(
                try await story.city.entryCount(
                    where: "e.id = \(entry)::uuid AND e.outcome = 'permitted' AND e.legal_basis = 'consent' AND e.case_reference = 'K-1'") == 1)
            #expect(read.headers[.cacheControl] == "no-store")

            _ = try await story.city.decide("given", story.care, by: story.ada, attributes: ["family_name"])
            let part = try await clinic.post(address, story.body(attributes: #"["family_name", "phone"]"#))
            #expect(part.status == 403)
            #expect(part.json["missing"] == ["phone"])
            #expect(try await clinic.post(address, story.body(attributes: #"["family_name"]"#)).status == 200)

            _ = try await story.city.decide("withdrawn", story.care, by: story.ada)
            #expect(try await clinic.post(address, story.body(attributes: #"["family_name"]"#)).problem == "consent-missing")
            #expect(try await story.city.entryCount() == 5)
        }
    }

    @Test("A law permits what it covers without consent, and no more")
    func law() async throws {
        try await Story().serve { story, client in
            let clinic = CityAPIClient(client, token: story.clinic.credential)
            let read = try await clinic.post(address, story.body(purpose: "notification", attributes: #"["date_of_birth"]"#))
            #expect(read.json["attributes"] == ["date_of_birth": "1815-12-10"])
            #expect(try await story.city.entryCount(where: "e.law = 'Infection Act § 6' AND e.consent_event_id IS NULL") == 1)
            let more = try await clinic.post(address, story.body(purpose: "notification", attributes: #"["date_of_birth", "family_name"]"#))
            #expect(more.status == 403)
            #expect(more.problem == "attributes-not-in-purpose")
            #expect(more.json["missing"] == ["family_name"])
            let unknown = try await clinic.post(address, story.body(purpose: "marketing"))
            #expect(unknown.problem == "purpose-unknown")
            let foreign = try await CityAPIClient(client, token: story.bank.credential).post(address, story.body(purpose: "notification"))
            #expect(foreign.problem == "purpose-unknown")
            #expect(try await story.city.entryCount() == 4)
        }
    }

    @Test("What the city does not hold is null, also when it holds nothing of what was asked")
    func nothingHeld() async throws {
        try await Story().serve { story, client in
            _ = try await story.city.decide("given", story.care, by: story.ada)
            let clinic = CityAPIClient(client, token: story.clinic.credential)
            let read = try await clinic.post(address, story.body(attributes: #"["phone"]"#))
            #expect(read.status == 200)
            #expect(read.json["attributes"] == ["phone": nil])
            #expect(try await story.city.entryCount(where: "e.outcome = 'permitted' AND e.attributes = '{phone}'") == 1)
        }
    }

    @Test("Nobody, and somebody whom another organisation knows, get the same answer to the byte")
    func subjects() async throws {
        try await Story().serve { story, client in
            _ = try await story.city.decide("given", story.care, by: story.ada)
            let clinic = CityAPIClient(client, token: story.clinic.credential)
            var answers: Set<String> = []
            for subject in [UUID(), story.adaAtBank, story.ada.id.uuid] {
                let answer = try await clinic.post(address, story.body(subject: subject))
                #expect(answer.status == 404)
                let entry = try #require(answer.json["access_entry"]?.text)
                #expect(try await story.city.entryCount(where: "e.id = \(entry)::uuid AND e.subject_id IS NULL AND e.refusal = 'subject_unknown'") == 1)
                answers.insert(answer.text.replacingOccurrences(of: entry, with: "-") + answer.headers.filter { $0.name != .date }.description)
            }
            #expect(answers.count == 1)
        }
    }

    @Test(
        "Every bad body is refused before the door, naming the field",
        arguments: [
            (#"{"purpose": "care", "attributes": ["phone"], "case_reference": "K"}"#, "subject"),
            (#"{"subject": "ada", "purpose": "care", "attributes": ["phone"], "case_reference": "K"}"#, "subject"),
            (#"{"subject": "SUBJECT", "purpose": "Care!", "attributes": ["phone"], "case_reference": "K"}"#, "purpose"),
            (#"{"subject": "SUBJECT", "purpose": 7, "attributes": ["phone"], "case_reference": "K"}"#, "purpose"),
            (#"{"subject": "SUBJECT", "purpose": "care", "attributes": [], "case_reference": "K"}"#, "attributes"),
            (#"{"subject": "SUBJECT", "purpose": "care", "attributes": "phone", "case_reference": "K"}"#, "attributes"),
            (#"{"subject": "SUBJECT", "purpose": "care", "attributes": ["given_names,phone"], "case_reference": "K"}"#, "attributes[0]"),
            (#"{"subject": "SUBJECT", "purpose": "care", "attributes": ["phone", "phone"], "case_reference": "K"}"#, "attributes"),
            (#"{"subject": "SUBJECT", "purpose": "care", "attributes": ["phone"]}"#, "case_reference"),
            (#"{"subject": "SUBJECT", "purpose": "care", "attributes": ["phone"], "case_reference": "  "}"#, "case_reference"),
            (#"{"subject": "SUBJECT", "purpose": "care", "attributes": ["phone"], "case_reference": "a\nb"}"#, "case_reference"),
            (#"{"subject": "SUBJECT", "purpose": "care", "attributes": ["phone"], "case_reference": "a\u202eb"}"#, "case_reference"),
            (#"{"subject": "SUBJECT", "purpose": "care", "attributes": ["phone"], "case_reference": "K", "actor": "mayor"}"#, "actor"),
        ])
    func badBodies(_ json: String, _ field: String) async throws {
        try await Story().serve { story, client in
            let clinic = CityAPIClient(client, token: story.clinic.credential)
            let answer = try await clinic.post(address, json.replacingOccurrences(of: "SUBJECT", with: story.adaAtClinic.uuidString))
            #expect(answer.status == 400)
            #expect(answer.problem == "invalid-body")
            #expect(answer.text.contains("\"field\":\"\(field)\""), "\(answer.text)")
            #expect(try await story.city.entryCount() == 0)
        }
    }

    @Test("What is no JSON object, or too much of one, is refused")
    func malformed() async throws {
        try await Story().serve { story, client in
            let clinic = CityAPIClient(client, token: story.clinic.credential)
            for (body, status) in [
                ("", 400), ("[]", 400), ("{", 400), (story.body() + "x", 400), (story.body(caseReference: "\\u0000"), 400),
                (story.body(caseReference: String(repeating: "x", count: 65)), 400), (story.body(caseReference: String(repeating: "x", count: 9000)), 413),
            ] {
                let answer = try await clinic.post(address, body)
                #expect(answer.status == status, "\(body.prefix(60))")
            }
            #expect(try await story.city.entryCount() == 0)
        }
    }

    @Test("A case reference in any script is kept as it is")
    func scripts() async throws {
        try await Story().serve { story, client in
            _ = try await story.city.decide("given", story.care, by: story.ada)
            let clinic = CityAPIClient(client, token: story.clinic.credential)
            for reference in ["ملف 12", "Straße 7", "K-1/2026 <b>"] {
                #expect(try await clinic.post(address, story.body(caseReference: reference)).status == 200)
                #expect(try await story.city.entryCount(where: "e.case_reference = \(reference)") == 1)
            }
        }
    }
}
