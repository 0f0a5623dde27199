// `stoa organisation add-purposes`: what an organisation may ask for, why, and on which legal basis. Without a purpose it can read nothing.
import ArgumentParser
import Consent
import Foundation
import Postgres
import Web

/// `stoa organisation add-purposes`
struct OrganisationAddPurposesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add-purposes", abstract: "Enters what an organisation may ask for, from a JSON file.",
        discussion: """
            The file is a list: [{"purpose": "vaccination-reminders", "legal_basis": "consent", "attributes": ["date_of_birth", "email"],
            "title": {"en": "…", "fr": "…", "ar": "…"}, "explanation": {"en": "…"}}]. With any other legal basis (contract, legal_obligation,
            vital_interests, public_task, legitimate_interests) "law" names the law. English is compulsory, the other languages are shown where they
            are given. "valid_months": 12 lets agreements end by themselves after a year; without it they last until they are withdrawn. "reads_per_day_max": 3
            lets the organisation read about one resident three times in 24 hours at most. "retention"
            (in languages, as the title) says how long the organisation keeps what it received, and "retention_law" names the law that says so. "delay_law" names a law that lets an authority delay what residents are told of it; public, and rare. Purposes that the organisation has already stay as they are.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "The organisation's id.") var id: String
    @Argument(help: "The JSON file.", completion: .file(extensions: ["json"])) var file: String

    func run() async throws {
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let (id, purposes) = (self.id, try PurposeFile.read(file))
        let added = try await Installation.with(configuration, creatingData: true, say: sayToPerson) { installation in
            try await installation.migrate()
            return try await installation.withPool(.owner, logger: logger) { owner in
                let administration = ConsentAdministration(owner: owner)
                var added: [String] = []
                for purpose in purposes {
                    do {
                        if try await administration.addActivity(purpose.activity(of: id)) { added.append(purpose.purpose) }
                    } catch let error as DatabaseError where error.constraint != nil {
                        throw SetupError("The purpose \"\(purpose.purpose)\" is refused (\(error.constraint ?? "")): \(PurposeFile.remedy(error.constraint)).")
                    }
                }
                return added
            }
        }
        print(added.isEmpty ? "Nothing was added: \"\(id)\" has these purposes already." : "\"\(id)\" may now ask for: \(added.joined(separator: ", ")).")
    }
}

/// The file of purposes.
enum PurposeFile {
    struct Purpose: Decodable {
        let purpose: String
        let legalBasis: String
        let law: String?
        let attributes: [String]
        let title: [String: String]
        let explanation: [String: String]
        let validMonths: Int?
        let readsPerDayMax: Int?
        let retention: [String: String]?
        let retentionLaw: String?
        let delayLaw: String?

        enum CodingKeys: String, CodingKey {
            case purpose, law, attributes, title, explanation, retention
            case legalBasis = "legal_basis"
            case retentionLaw = "retention_law"
            case delayLaw = "delay_law"
            case validMonths = "valid_months"
            case readsPerDayMax = "reads_per_day_max"
        }

        func activity(of organisation: String) throws -> NewActivity {
            guard let basis = LegalBasis(rawValue: legalBasis) else {
                throw SetupError("The purpose \"\(purpose)\" has the legal basis \"\(legalBasis)\". It is one of \(LegalBasis.allCases.map(\.rawValue).joined(separator: ", ")).")
            }
            return NewActivity(
                organisationID: organisation, purpose: purpose, legalBasis: basis, law: law, attributes: attributes,
                title: try Self.text(title, "title"), explanation: try Self.text(explanation, "explanation"), validMonths: validMonths,
                retention: try retention.map { try Self.text($0, "retention") }, retentionLaw: retentionLaw, delayLaw: delayLaw, readsPerDayMax: readsPerDayMax)
        }

        private static func text(_ texts: [String: String], _ member: String) throws -> LocalisedText {
            let known = Dictionary(uniqueKeysWithValues: texts.compactMap { tag, text in Language(rawValue: tag).map { ($0, text) } })
            guard known.count == texts.count, known[.english] != nil else {
                throw SetupError("\"\(member)\" holds a text under \"en\", and may hold others under \"fr\" and \"ar\".")
            }
            return LocalisedText(known)
        }
    }

    static func read(_ path: String) throws -> [Purpose] {
        guard let bytes = FileManager.default.contents(atPath: path) else { throw SetupError("\(path) cannot be read.") }
        do {
            return try JSONDecoder().decode([Purpose].self, from: bytes)
        } catch {
            throw SetupError("\(path) is not a list of purposes: \(error). `stoa organisation add-purposes --help` shows one.")
        }
    }

    /// What to do about a rule of the register that was broken.
    static func remedy(_ constraint: String?) -> String {
        switch constraint {
        case "processing_activity_organisation_id_fkey": "there is no such organisation; `stoa organisation create` enters it"
        case "policy_attributes_known": "its attributes must be known kinds of data, each once; the table register.attribute lists them"
        case "processing_activity_check": "a law is named exactly where the legal basis is not consent"
        case "only_law_is_delayed": "\"delay_law\" stands only where the legal basis is legal_obligation or public_task"
        case "retention_law_has_words": "\"retention_law\" stands beside \"retention\", which says the same in words"
        case "policy_reads_per_day_max_check": "\"reads_per_day_max\" is a number from 1 to 1000, or is left out"
        case "policy_valid_months_check": "\"valid_months\" is a number from 1 to 120, or is left out"
        case "processing_activity_purpose_check": "it is named in 2 to 63 small letters, digits and dashes, a letter first"
        default: "see migrations/0003_consent_registers.sql"
        }
    }
}
