// `stoa erase resident CODE`: a person is forgotten, and the logs stay whole.
import ArgumentParser
import Foundation
import Postgres
import Primitives
import Register

/// `stoa erase …`
struct EraseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "erase", abstract: "Destroys what the city holds about somebody.", subcommands: [EraseResidentCommand.self])
}

/// `stoa erase resident CODE`
struct EraseResidentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resident", abstract: "Destroys the data key of a resident, so that nobody can open anything about them any more.",
        discussion: """
            It cannot be undone. Values, look-ups and sign-in names go, and the account is closed; the access log, the ledger and decisions stay and name
            an id that says nothing. Backups made before still hold the key. Somebody who is still in the population register comes back with the
            next import, under a new code.
            """)

    @OptionGroup var common: CommonOptions
    @Argument(help: "The resident's public code, such as 4GK-2M7-Q0R.") var code: String
    @Option(help: "On whose authority, such as \"Court order 12/2026\": 3 to 200 characters, kept on record.") var authority: String

    func validate() throws {
        guard PublicCode(code) != nil else { throw ValidationError("\"\(code)\" is not a public code.") }
        try validateAuthority(authority)
    }

    func run() async throws {
        guard let code = PublicCode(code) else { return }
        let authority = self.authority
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let isErased = try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
            try await installation.migrate()
            return try await installation.withPool(.owner, logger: logger) { try await ResidentErasure(owner: $0).erase(code, authority: authority) }
        }
        guard isErased else { throw SetupError("Nobody has the code \(code), or the resident was erased before. Nothing was changed.") }
        print("\(code) is erased: nobody can open anything about this resident any more. Backups made before now still hold the key.")
    }
}
