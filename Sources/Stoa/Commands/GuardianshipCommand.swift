// `stoa guardianship`: who decides for a child. The city enters what the birth register or a court says; the role that serves can enter none.
import ArgumentParser
import Foundation
import Postgres
import Primitives
import Register

/// `stoa guardianship …`
struct GuardianshipCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guardianship", abstract: "Enters and ends who decides for a child.", subcommands: [GuardianshipAddCommand.self, GuardianshipEndCommand.self])
}

/// The two people, and on whose word.
struct GuardianshipOptions: ParsableArguments {
    @Option(help: "The child's public code, such as 4GK-2M7-Q0R.") var child: String
    @Option(help: "The guardian's public code.") var guardian: String
    @Option(help: "On whose word, such as \"Birth register 12/2026\": 3 to 200 characters, kept on record.") var authority: String

    func validate() throws {
        for code in [child, guardian] where PublicCode(code) == nil { throw ValidationError("\"\(code)\" is not a public code.") }
        guard child != guardian else { throw ValidationError("Nobody is their own guardian.") }
        guard (3...200).contains(authority.unicodeScalars.count) else { throw ValidationError("--authority has 3 to 200 characters.") }
    }

    /// Both codes, once they are validated.
    var codes: (child: PublicCode, guardian: PublicCode)? {
        guard let child = PublicCode(child), let guardian = PublicCode(guardian) else { return nil }
        return (child, guardian)
    }
}

/// `stoa guardianship add`
struct GuardianshipAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Enters a guardian of a child.",
        discussion: """
            From which ages on the child is asked, decides alone and is of age are settings (minors.…). What the child shares until now was agreed to without this guardian, so it is
            void, unless the guardian need not agree. The two names are what each calls the other on their pages; they are sealed.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var people: GuardianshipOptions
    @Option(help: "The child's date of birth, as YYYY-MM-DD.") var born: String
    @Option(help: "What the guardian calls the child.") var childName: String
    @Option(help: "What the child calls the guardian.") var guardianName: String
    @Flag(help: "This guardian can see and stop, and need not agree.") var needNotAgree = false

    func validate() throws {
        guard CalendarDay(born) != nil else { throw ValidationError("\"\(born)\" is not a day like 2014-03-31.") }
        for name in [childName, guardianName] where !(1...100).contains(name.count) { throw ValidationError("A name has 1 to 100 characters.") }
    }

    func run() async throws {
        guard let codes = people.codes, let born = CalendarDay(born) else { return }
        let new = Guardianships.New(
            child: codes.child, guardian: codes.guardian, childName: childName, guardianName: guardianName, born: born, mustAgree: !needNotAgree,
            authority: people.authority)
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let outcome = try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
            try await installation.migrate()
            let vault = try await installation.withPool(.app, logger: logger) { database in
                try await KeyRing.open(configuration, data: installation.data, database: database, say: sayToPerson).vault
            }
            return try await installation.withPool(.owner, logger: logger) { owner in
                try await Guardianships(owner: owner, vault: vault).add(new, ages: configuration.city.ages, in: configuration.city.timeZone)
            }
        }
        switch outcome {
        case .recorded: print("\(codes.guardian) is a guardian of \(codes.child) from now on.")
        case .unchanged: print("Nothing was changed: \(codes.guardian) is a guardian of \(codes.child) already.")
        case .grownUp: throw SetupError("Who was born on \(born) is of age. Nothing was changed.")
        case .birthDiffers:
            throw SetupError("The register has another date of birth for \(codes.child). Check the code and the date. Nothing was changed.")
        case .unknown: throw SetupError("Nobody has one of the codes, or the resident was erased. Nothing was changed.")
        }
    }
}

/// `stoa guardianship end`
struct GuardianshipEndCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "end", abstract: "Ends a guardianship. What was agreed to stays as it is; the others can stop it.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var people: GuardianshipOptions

    func run() async throws {
        guard let codes = people.codes else { return }
        let authority = people.authority
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let isEnded = try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
            try await installation.migrate()
            let vault = try await installation.withPool(.app, logger: logger) { database in
                try await KeyRing.open(configuration, data: installation.data, database: database, say: sayToPerson).vault
            }
            return try await installation.withPool(.owner, logger: logger) {
                try await Guardianships(owner: $0, vault: vault).end(child: codes.child, guardian: codes.guardian, authority: authority)
            }
        }
        guard isEnded else { throw SetupError("\(codes.guardian) is no guardian of \(codes.child). Nothing was changed.") }
        print("\(codes.guardian) is no guardian of \(codes.child) any more.")
    }
}
