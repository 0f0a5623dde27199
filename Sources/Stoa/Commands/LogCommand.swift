// `stoa log vkey`: the public half of the key that signs the access log, for the city to publish and for auditors to hold.
// `stoa log resume`: the decision after a witness stopped the log.
import AccessLog
import ArgumentParser
import TransparencyLog

/// `stoa log …`
struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "About the access log of this installation.", subcommands: [LogVerifierKeyCommand.self, LogResumeCommand.self])
}

/// `stoa log vkey`
struct LogVerifierKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vkey", abstract: "Prints the log's verifier key (C2SP signed-note), which checks its signed heads.",
        discussion: "Publish it: who holds it needs to trust nobody else for `stoa verify log --vkey …` and for what /log/checkpoint shows.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let configuration = try await common.load()
        print(try KeyRing.logVerifier(configuration, keysDirectory: configuration.dataDirectory + "/keys").vkey)
    }
}

/// `stoa log resume`
struct LogResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Lets a log go on that a witness has stopped.",
        discussion: """
            A log stops when a witness has seen what this database does not hold: it was restored from an old backup, or another one signs under the same
            key. Restore a newer backup if there is one; then the log goes on by itself and this command is not needed. Without one, whatever is signed
            from here on is another log to everybody who kept a head: tell them first, and take the witness out of log.witnesses, or it stops the log again.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "Who decided it, such as \"City council 12/2026\": 3 to 200 characters, kept on record.") var authority: String

    func validate() throws { try validateAuthority(authority) }

    func run() async throws {
        let authority = self.authority
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let ended = try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
            try await installation.migrate()
            return try await installation.withPool(.owner, logger: logger) { try await EndHalt(owner: $0).perform(authority: authority) }
        }
        guard !ended.isEmpty else { throw SetupError("The log has not stopped. Nothing was changed.") }
        for halt in ended { print(halt) }
        print("On record, by the authority of \(authority). The log goes on.")
    }
}

/// Decisions that nobody can take back name who took them.
func validateAuthority(_ authority: String) throws {
    guard (3...200).contains(authority.unicodeScalars.count) else { throw ValidationError("--authority has 3 to 200 characters.") }
}
