from prikkfri.cli import main

main()
