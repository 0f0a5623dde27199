// `stoa database url`: how to open the database with psql, for whoever started Stoa and nobody else.
import ArgumentParser
import Foundation

/// `stoa database …`
struct DatabaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "database", abstract: "About the database of this installation.", subcommands: [DatabaseURLCommand.self])
}

extension DatabaseRole: ExpressibleByArgument {}

/// `stoa database url`
struct DatabaseURLCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "url", abstract: "Prints the libpq connection string, also of the embedded cluster.",
        discussion: "Example: psql \"$(stoa database url --role auditor)\". The embedded cluster opens for the user who started Stoa, and only while Stoa runs.")

    @OptionGroup var common: CommonOptions
    @Option(help: "owner migrates, app serves, auditor reads the logs.") var role: DatabaseRole = .app

    func run() async throws {
        let configuration = try await common.load()
        if configuration.database.url != nil {
            let data = try DataDirectory(creating: configuration.dataDirectory)
            print(try Installation(configuration: configuration, data: data, embedded: nil, signals: SignalWatch(), say: sayToPerson).url(role))
            return
        }
        let data = try DataDirectory(existing: configuration.dataDirectory)
        guard let (url, isRunning) = EmbeddedPostgres.connectionString(for: data, role: role) else {
            throw SetupError("There is no embedded database in \(data.path) yet. `stoa demo` or `stoa serve` makes it.")
        }
        if !isRunning { sayToPerson("The embedded database is not running; it answers while `stoa demo` or `stoa serve` runs.") }
        print(url)
    }
}
